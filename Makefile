# Two commands do all the set-up on a fresh machine: `make demo` and `make test`.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
READY = $(VENV)/.ready

.PHONY: demo test test-fast lint format clean

demo: $(READY)  ## The main job on the embedded data set: ends with a report to open.
	$(BIN)/selfscan demo --out demo --overwrite

test: $(READY)  ## The whole suite, on all cores.
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal

test-fast: $(READY)  ## The suite without the slow tests.
	$(BIN)/python -m pytest -m "not slow"

lint: $(READY)  ## Style, types and the direction of imports.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)  ## Rewrite the code in the project's style.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	@# Its own requirements bring torchvision, which nothing here needs.
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps \
		dynamic-network-architectures
	touch $(READY)

clean:
	rm -rf $(VENV) demo build dist .mypy_cache .ruff_cache .pytest_cache
