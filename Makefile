# `make demo` runs the starter model, `make demo-train` trains it; `make test` runs every check, `make quick` those that take a minute.
# Each makes the environment first.
PYTHON ?= python3
WORKERS ?= 2
VENV := .venv
BIN := $(VENV)/bin

# An environment that a Python took away, or one too old made, is made anew.
WORKS = import sys, pip; sys.exit(sys.version_info < (3, 11))
BROKEN := $(shell test -d $(VENV) && ! $(BIN)/python -c "$(WORKS)" 2>/dev/null && rm -rf $(VENV))

.PHONY: demo demo-train test quick check format constraints clean

demo: $(VENV)/.demo
	$(BIN)/localrl bench

demo-train: $(VENV)/.train
	$(BIN)/localrl train smollm2-135m sums --steps 14 --lr 1e-3 --rank 8

test: check
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

quick: check
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not slow and not process"

check: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(VENV)/.test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(BIN)/python:
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" 2>/dev/null || { echo \
	"localrl needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) --version 2>&1 | tail -1); name another: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[starter]' --constraint constraints.txt
	touch $@

$(VENV)/.train: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[starter,train]' --constraint constraints.txt
	touch $@ $(VENV)/.demo

$(VENV)/.test: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[starter,server,test]' --constraint constraints.txt
	touch $@ $(VENV)/.demo $(VENV)/.train

constraints:
	$(BIN)/python -m pip freeze --exclude-editable | grep == > constraints.txt

clean:
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache
