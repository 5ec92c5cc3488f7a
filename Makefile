# Two commands do everything on a fresh machine with Python and make: `make demo` and `make test`.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PYTEST_ARGS ?=

.PHONY: demo test lint bench soak servers clean

demo: $(VENV)/.demo ## train a small sweep on real data and look at it
	$(BIN)/evsys-otel demo

test: $(VENV)/.dev servers ## set up and run the whole test suite
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(VENV)/.bench ## measure what the README says, beside its peers
	$(BIN)/python -m benchmarks

soak: $(VENV)/.dev servers ## kill processes fifty times in each way
	EVSYS_SOAK=50 $(BIN)/python -m pytest -m soak -rA --timeout 3600 tests/shipper/test_kills.py $(PYTEST_ARGS)

servers: ## real servers that tests talk to, from Debian's packages where they are missing
	@sh tests/servers.sh

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
