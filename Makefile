# Two commands do everything on a fresh machine: `make demo` and `make test`. Both set up .venv first.
PYTHON ?= $(firstword $(shell for p in python3.12 python3.11 python3; do $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null && echo $$p; done))
UV     := $(shell command -v uv 2>/dev/null)
BIN    := .venv/bin
READY  := .venv/.ready
# Of pytest: more than the two cores of a small machine, since half of the tests' time is waiting for other processes.
WORKERS ?= 3

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all chaos chaos-long lint format bench lock clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY)  ## make .venv with the pinned libraries and this package

$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "reglab needs Python 3.11 or 3.12: install one, or name it with make PYTHON=/path/to/python3.12"; exit 1; }
ifdef UV
	uv venv --quiet --allow-existing --python $(PYTHON) .venv
	uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	uv pip install --quiet --python $(BIN)/python --no-deps --editable .
else
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
endif
	@touch $@

demo: $(READY)  ## train six models on real images on a CPU, and report: about two minutes
	$(BIN)/reglab demo

PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test: lint  ## all checks, and the tests that are not slow
	$(PYTEST) -m "not slow"

# OTHER: a Python with another torch, the oldest that is supported, say, and with what the tests need.
test-all: lint  ## all checks and all tests; OTHER=/path/to/python runs those on a fake GPU with its torch, too
	$(PYTEST)
	$(if $(OTHER),$(OTHER) -m pytest tests/fake_gpu)

# CHAOS_SEED=7 tries other moments, CHAOS_KILLS=50 more of them.
chaos: $(READY)  ## kill real runs 20 times, and have disk and W&B fail under them: a minute or two, docs/faults.md
	$(BIN)/python -m pytest tests/chaos -s

chaos-long: $(READY)  ## the same at every moment: hours
	CHAOS=long $(BIN)/python -m pytest tests/chaos -s

lint: $(READY)  ## style, types and the floors of the house
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(READY)  ## rewrite the code in the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)  ## the measured ratios, see benchmarks/
	$(BIN)/reglab bench

lock: ## renew requirements.lock (needs uv)
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate -o requirements.lock

clean:  ## remove .venv and caches
	rm -rf .venv .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis
