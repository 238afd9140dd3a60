# `make demo` and `make test` are all that a newcomer needs. Everything lives in .venv and in the checkout.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready

# Two at a time; what failed then runs once more, alone, and decides. A test that only passes then is told in the first
# summary: it hangs on how busy the machine is, and is to be mended.
define tests
@$(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder $(1) || { \
	test $$? -eq 1 && echo "Once more, alone, what failed:" && \
	$(BIN)/python -m pytest -q -x --last-failed --last-failed-no-failures none $(1); }
endef

.PHONY: demo test escape chaos conformance bench fooled check lock clean help

help:  ## show this help
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

demo: $(STAMP)  ## run a whole autonomous session, offline, with a scripted model
	@$(BIN)/overnight demo

test: $(STAMP)  ## run the tests (real Temporal, real Claude Code, scripted model)
	$(call tests)

escape: $(STAMP)  ## play the attacker from inside real sessions
	$(call tests,-m escape tests/escape)

chaos: $(STAMP)  ## kill worker and server at each moment of a session, and all else at some; have services fail and agents cheat in every way
	$(call tests,-m chaos tests)

conformance: $(STAMP)  ## the protocol's own test suites, and the real Claude Code as a client of the MCP server
	@$(BIN)/python -m tests.conformance
	$(call tests,-m conformance tests/mcp)

bench: $(STAMP)  ## measure recovery, overhead, steering, many sessions, replay, knowledge
	@$(BIN)/python -m benchmarks

fooled: $(STAMP)  ## have agents cheat Overnight and two plain loops; print who is fooled
	@$(BIN)/python -m benchmarks.fooled

check: $(STAMP)  ## lint, types, import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

lock: $(STAMP)  ## renew the hash-pinned requirements
	@deploy/lock

clean:  ## remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .conformance dist

$(STAMP): deploy/requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Overnight needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12")'
	@echo "Setting up $(VENV): about 1.5 GB, once"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r deploy/requirements-dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(STAMP)
