# Two commands do everything: `make quickstart` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
export PYTHONPATH := $(CURDIR)
PYTEST := $(BIN)/python -m pytest
# Where the environment forbids it, each of the tests' thousands of processes would compile the same modules anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: quickstart test test-all lint format

quickstart: .venv/ready
	$(BIN)/python -m pipeline run recipes/quickstart.yaml

# Two files at a time: quick tests compute, and slow ones wait for half of their time.
test: lint
	$(PYTEST) -m "not slow" -n 2 --dist loadfile

test-all: test
	$(PYTEST) -m slow -n 2 --dist loadfile --durations=20

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --num-workers 2
	$(BIN)/lint-imports --no-logo

format: .venv/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Zoetrope needs Python 3.11 or newer; set PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@
