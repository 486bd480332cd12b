# Needs Python 3.11 or newer and git. Everything else is installed into virtual environments of its own.

PYTHON ?= $(shell for p in python3.11 python3 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo $$p; break; }; done)
VENV ?= .venv
VENV_TEST ?= .venv-test
DATA ?= data
RUNS ?= runs
PYTEST_ARGS ?= -n auto
TEST_EXTRAS = [test,quality,judges,fast]

.DEFAULT_GOAL := help
.PHONY: help demo test lint clean

help: ## Say what can be made
	@echo "make demo    install into $(VENV), write a sample market, run a strategy over it, show where the results are"
	@echo "make test    install into $(VENV_TEST), then every check and every test"
	@echo "make lint    the checks alone: ruff, mypy, import-linter, freshness of docs/bus_topology.md"
	@echo "make clean   remove the environments and caches; $(DATA)/ and $(RUNS)/ stay"

# A changed pyproject.toml makes an environment anew; sources are used in place.
define install
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or newer found; make PYTHON=/path/to/python" >&2; exit 1; }
	@echo "installing into $(1)"
	@rm -rf $(1)
	@$(PYTHON) -m venv $(1)
	@$(1)/bin/pip install -qq --disable-pip-version-check --editable "$(2)"
	@touch $(1)/.ready
endef

$(VENV)/.ready: pyproject.toml
	$(call install,$(VENV),.)

$(VENV_TEST)/.ready: pyproject.toml
	$(call install,$(VENV_TEST),.$(TEST_EXTRAS))

demo: $(VENV)/.ready ## A first result
	@$(VENV)/bin/bt data sample --data $(DATA)
	@$(VENV)/bin/bt run --strategy sma_extended --symbols BTCUSDT ETHUSDT --data $(DATA) --runs $(RUNS)
	@echo
	@echo "The results are in $$(ls -td $(RUNS)/*/ | head -n 1): report.html to look at, metrics.json, equity, fills, orders and"
	@echo "trades as Parquet, audit.jsonl with every decision. docs/run-folder.md explains them. Next: . $(VENV)/bin/activate; bt --help"

# Each check runs even when one before it failed, so that one run shows all that is wrong.
CHECKS = \
	check "ruff check" ruff check .; \
	check "ruff format" ruff format --check .; \
	check "mypy" mypy; \
	check "import-linter" lint-imports --no-cache; \
	check "topology" python -m backtester.engine.topology --check;
RUN_CHECKS = export PATH="$(abspath $(VENV_TEST))/bin:$$PATH"; failed=""; \
	check() { name="$$1"; shift; echo "--- $$name"; "$$@" || failed="$$failed [$$name]"; };
REPORT = test -z "$$failed" || { echo "failed:$$failed" >&2; exit 1; }

lint: $(VENV_TEST)/.ready ## The checks alone
	@$(RUN_CHECKS) $(CHECKS) $(REPORT)

test: $(VENV_TEST)/.ready ## Every check and every test
	@$(RUN_CHECKS) $(CHECKS) check "tests" pytest $(PYTEST_ARGS); $(REPORT)

clean: ## Remove environments and caches
	rm -rf $(VENV) $(VENV_TEST) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find backtester tests -name __pycache__ -type d -prune -exec rm -rf {} +
