"""Who may import whom: the contracts of import-linter in pyproject.toml."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sysconfig
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_imports_keep_to_the_house_rules() -> None:
    command = shutil.which("lint-imports", path=sysconfig.get_path("scripts"))
    assert command, "import-linter is a development requirement"
    done = subprocess.run(
        [command, "--no-cache", "--config", str(ROOT / "pyproject.toml")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rules_name_every_part_of_the_asking_side() -> None:
    """A new module of ``overnight`` must not be free for activities to import because nobody listed it."""
    parts = {p.stem if p.suffix else p.name for p in (ROOT / "overnight").iterdir() if p.suffix in {"", ".py"}}
    asking = {f"overnight.{p}" for p in parts if not p.startswith("_") and p != "base"}
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    for sources in (["activities"], ["overnight.base"]):
        (contract,) = (c for c in contracts if c["source_modules"] == sources)
        assert asking <= set(contract["forbidden_modules"])


def test_the_mcp_server_only_asks() -> None:
    tree = ast.parse((ROOT / "mcp_server.py").read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    imported |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    assert not {name for name in imported if name.split(".")[0] in {"activities", "worker"}}
