# Two commands do everything on a fresh machine with Python and make: `make demo` and `make test`.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PYTEST_ARGS ?=

.PHONY: demo demo-collector test lint bench soak fuzz servers collector clean

demo: $(VENV)/.demo ## train a small sweep on real data and look at it
	$(BIN)/evsys-otel demo

demo-collector: $(VENV)/.dev collector ## the same sweep through a real agent and gateway into a bridge
	PYTHONPATH=tests $(BIN)/python collector-config/demo.py

test: $(VENV)/.dev servers ## set up and run the whole test suite
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(VENV)/.bench ## measure what the README says, beside its peers
	$(BIN)/python -m benchmarks

soak: $(VENV)/.dev servers ## kill processes fifty times in each way
	EVSYS_SOAK=50 $(BIN)/python -m pytest -m soak -rA --timeout 3600 tests/shipper/test_kills.py tests/collector/test_kills.py tests/failover $(PYTEST_ARGS)

fuzz: $(VENV)/.dev ## send a bridge twenty thousand hostile requests of each kind
	EVSYS_FUZZ=20000 $(BIN)/python -m pytest -rA --timeout 7200 tests/bridge/test_hostile.py $(PYTEST_ARGS)

servers: ## real servers that tests talk to, where they are missing: Debian's packages, and a collector where Go is
	@sh tests/servers.sh
	@sh tests/collector.sh

collector: ## build the collector of collector-config/builder.yaml from Go modules, outside the tree, once a version
	@sh collector-config/build.sh

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[demo]'
	@touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@ $(VENV)/.demo

$(VENV)/.bench: $(VENV)/.dev pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	@touch $@

clean:
	rm -rf $(VENV) .evsys .hypothesis .mypy_cache .pytest_cache .ruff_cache .coverage* dist build demo-output
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
