# `make demo` and `make test` are all that a newcomer needs. Everything lives in .venv and in the checkout.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready

.PHONY: demo test escape chaos bench check lock clean help

help:  ## show this help
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

demo: $(STAMP)  ## run a whole autonomous session, offline, with a scripted model
	@$(BIN)/overnight demo

test: $(STAMP)  ## run the tests (real Temporal, real Claude Code, scripted model)
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile

escape: $(STAMP)  ## play the attacker from inside real sessions
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile -m escape tests/escape

chaos: $(STAMP)  ## kill each process at each moment of a session; have the model's service fail in every way
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile -m '' tests/chaos tests/failures

bench: $(STAMP)  ## measure recovery, overhead, steering, many sessions, replay
	@$(BIN)/python -m benchmarks

check: $(STAMP)  ## lint, types, import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

lock: $(STAMP)  ## renew the hash-pinned requirements
	@deploy/lock

clean:  ## remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis dist

$(STAMP): deploy/requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Overnight needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12")'
	@echo "Setting up $(VENV): about 400 MB, once"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r deploy/requirements-dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(STAMP)
