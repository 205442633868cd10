# Two commands do everything: `make quickstart` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
export PYTHONPATH := $(CURDIR)
PYTEST := $(BIN)/python -m pytest
# Whole files, in the order of tests/conftest.py.
FILES := --dist loadfile --no-loadscope-reorder
# Where the environment forbids it, each of the tests' thousands of processes would compile the same modules anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: quickstart test test-all lint format docs

quickstart: .venv/ready
	$(BIN)/python -m pipeline run recipes/quickstart.yaml

# One more than there are cores: a part of them waits for processes.
test: lint
	$(PYTEST) -m "not slow" -n 3 $(FILES)

# Slow tests wait for half of their time, and the quick ones, at the end, fill it.
test-all: lint
	$(PYTEST) -n 3 $(FILES) --durations=20

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --num-workers 2
	$(BIN)/lint-imports --no-logo

# The pages as a static site, in site/.
docs: .venv/ready
	$(BIN)/python -m docs.build

format: .venv/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Zoetrope needs Python 3.11 or newer; set PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@
