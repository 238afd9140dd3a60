"""The wheel: built, installed in an environment of its own, and its entry points run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(*command: str | Path, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OVERNIGHT_", "ANTHROPIC_", "CLAUDE_", "PYTHON"))}
    return subprocess.run(command, cwd=cwd, env={**kept, **env}, capture_output=True, text=True, timeout=90)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    built = run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, ROOT, cwd=out)
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = out.glob("overnight-*.whl")
    return path


@pytest.fixture(scope="module")
def bin_folder(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and, by a path file, our dependencies; without the checkout."""
    place = tmp_path_factory.mktemp("venv")
    venv.create(place, with_pip=False, symlinks=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = place / "lib" / version / "site-packages"
    dependencies = sysconfig.get_path("purelib")
    (packages / "dependencies.pth").write_text(f"{dependencies}\n")
    installed = run(
        sys.executable, "-m", "pip", "--python", place / "bin" / "python", "install", "--no-deps", "--no-index",
        "--disable-pip-version-check", wheel,
        cwd=place,
    )  # fmt: skip
    assert installed.returncode == 0, installed.stdout + installed.stderr
    return place / "bin"


def test_it_holds_every_module_and_nothing_under_a_name_of_others(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {t for t in tops if not t.endswith(".dist-info")} == {"overnight"}
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    ours = [f for f in listed if f.startswith(("workflows/", "activities/")) or f in {"worker.py", "mcp_server.py"}]
    missing = [f for f in ours if f"overnight/_app/{f}" not in names]
    assert missing == []
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    included = config["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    top_level = {f for f in listed if "/" not in f and f.endswith(".py")} | {"workflows", "activities"}
    assert set(included) == top_level


def test_its_names_stay_inside_its_own_processes(bin_folder: Path, tmp_path: Path) -> None:
    tried = run(bin_folder / "python", "-c", "import overnight, workflows", cwd=tmp_path)
    assert "No module named 'workflows'" in tried.stderr


@pytest.mark.parametrize("entry", ["overnight", "overnight-worker", "overnight-mcp"])
def test_entry_points_start(bin_folder: Path, entry: str, tmp_path: Path) -> None:
    said = run(bin_folder / entry, "--help", cwd=tmp_path, HOME=str(tmp_path))
    assert said.returncode == 0, said.stderr
    assert "sage" in said.stdout


def test_the_worker_examines_its_host(bin_folder: Path, tmp_path: Path) -> None:
    said = run(bin_folder / "overnight-worker", "--check", "--json", cwd=tmp_path, HOME=str(tmp_path))
    findings = {f["name"]: f["state"] for f in json.loads(said.stdout)["findings"]}
    assert findings["Claude Code"] == "green"
    assert findings["credential"] == "red"
    assert said.returncode == 1
