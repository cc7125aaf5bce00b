# make demo: set up and run the whole path on the shipped studies.   make test: everything.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
JOBS   ?= 2

.PHONY: demo test check fix unit neural integration clean

demo: $(VENV)/.base
	$(BIN)/kgbuild demo kgbuild-demo

test: check unit neural integration

# format, lint, types, floors
check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(VENV)/.dev
	$(BIN)/pytest -m "not integration and not neural" -n $(JOBS)

# one thread a process: two contend
neural: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/pytest -m neural -n $(JOBS)

integration: $(VENV)/.dev
	$(BIN)/pytest -m integration

fix: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

$(VENV)/.base: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -e .
	touch $@

$(VENV)/.dev: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -e ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) kgbuild-demo .mypy_cache .ruff_cache .pytest_cache .hypothesis
