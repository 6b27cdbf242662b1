# Two commands do everything on a fresh machine: `make demo` and `make test`. Both set up .venv first.
UV     := $(shell command -v uv 2>/dev/null)
# The newest Python that is here, on the path or with pyenv, and can make an environment; where none will do, uv brings one.
# The colon: of a shell that ends with 127, not found, make takes no answer.
PYENV  := $(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions
PYTHON ?= $(firstword $(shell for v in 3.14 3.13 3.12 3.11 3; do for p in python$$v $(PYENV)/$$v.*/bin/python$$v; do \
  $$p -c 'import sys$(if $(UV),,, ensurepip); sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p; done; done; :) $(if $(UV),3.14))
BIN    := .venv/bin
READY  := .venv/.ready
# Without bytecode every process of a test would compile what it imports.
unexport PYTHONDONTWRITEBYTECODE
# Of pytest: more than the two cores of a small machine, since half of the tests' time is waiting for other processes.
WORKERS ?= 4

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all chaos chaos-long lint style types floors quick format bench docs wheel oracle sky oldest lock clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY)  ## make .venv with the pinned libraries and this package

$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "reglab needs Python 3.11 or newer, with venv: install one (apt-get install python3 python3-venv), install uv," \
	  "which brings one, or name it with make PYTHON=/path/to/python3.13"; exit 1; }
	@echo "making .venv, about 6 GB with PyTorch: some minutes; then: source .venv/bin/activate && reglab --help"
ifdef UV
	uv venv --quiet --clear --python $(PYTHON) .venv
	uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	uv pip install --quiet --python $(BIN)/python --no-deps --editable .
else
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
endif
	@touch $@

demo: $(READY)  ## train six models on real images on a CPU, and report: two to four minutes
	$(BIN)/reglab demo

PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test: $(READY)  ## all checks, and the tests that are not slow, side by side
	@$(MAKE) -j4 --output-sync=line --no-print-directory style types floors quick

quick: $(READY)
	$(PYTEST) -m "not slow"

# OTHER: the Python of an environment with what the tests need, the oldest that are supported, say (`make oldest` makes one, .venv-oldest/bin/python).
test-all: lint sky  ## all checks and all tests; OTHER=/path/to/python runs the quick tests and those on a fake GPU there, too
	$(PYTEST)
	$(if $(OTHER),$(OTHER) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "not slow")
	$(if $(OTHER),$(OTHER) -m pytest -m slow tests/fake_gpu)

# CHAOS_SEED=7 tries other moments, CHAOS_KILLS=50 more of them.
chaos: $(READY)  ## kill real runs 20 times, and have disk and W&B fail under them: some minutes, docs/faults.md
	$(BIN)/python -m pytest tests/chaos -s

chaos-long: $(READY)  ## the same at every moment: hours
	CHAOS=long $(BIN)/python -m pytest tests/chaos -s

lint: $(READY)  ## style, types and the floors of the house, side by side
	@$(MAKE) -j3 --output-sync=target --no-print-directory style types floors

style: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

floors: $(READY)
	$(BIN)/lint-imports --no-cache

format: $(READY)  ## rewrite the code in the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)  ## the measured ratios, see benchmarks/
	$(BIN)/reglab bench

# The pages are copied as they lie here, so that a link is the same one on a forge and on the site.
PAGES := '*.md' docs cloud 'reports/*.png' 'reports/*/index.html' 'benchmarks/*.png' CITATION.cff LICENSE
docs: $(READY)  ## the documentation, from these pages and the docstrings, in build/site: a dead link is an error
	@test -x $(BIN)/zensical || $(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null
	@test -x $(BIN)/zensical || $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	rm -rf build/pages build/site
	mkdir -p build/pages
	git ls-files -z --cached --others --exclude-standard $(PAGES) | xargs -0 cp --parents -t build/pages
	$(BIN)/zensical build --clean --strict

wheel: $(READY)  ## the wheel and the source archive, in dist/
	rm -rf dist
	$(BIN)/python -m hatchling build

oldest:  ## make .venv-oldest: Python 3.11 and the oldest libraries that are supported, for test-all (needs uv)
	uv venv --quiet --allow-existing --python 3.11 .venv-oldest
	uv pip install --quiet --python .venv-oldest/bin/python --resolution lowest-direct --editable '.[dev]'

oracle:  ## make .venv-oracle: W&B's own search engine on Python 3.11, to which the slow tests hold ours
ifdef UV
	uv venv --quiet --allow-existing --python 3.11 .venv-oracle
	uv pip install --quiet --python .venv-oracle/bin/python sweeps==0.3.0
else
	python3.11 -m venv .venv-oracle
	.venv-oracle/bin/python -m pip install --quiet --disable-pip-version-check sweeps==0.3.0
endif

sky: .venv-sky/.ready  ## make .venv-sky: SkyPilot, whose own loader reads cloud/*.yaml in the slow tests

.venv-sky/.ready: $(READY)
	$(BIN)/python -m venv --clear .venv-sky
	.venv-sky/bin/python -m pip install --quiet --disable-pip-version-check 'skypilot==0.14.*'
	@touch $@

lock:  ## renew requirements.lock (needs uv)
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate -o requirements.lock

clean:  ## remove .venv and caches
	rm -rf .venv .venv-oracle .venv-sky .venv-oldest build dist .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis
