# The commands of this project; each works in a fresh clone. Python 3.11 or newer is taken from PYTHON.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test check install page docs clean

help:            ## List the targets.
	@grep -E '^[a-z%-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

demo: .venv/.installed      ## Install, then run the main job on scans the software draws itself.
	$(BIN)/segwright demo

install: .venv/.installed   ## Install into .venv.

test: .venv/.installed-dev  ## Check style and types, then run all tests.
	scripts/test

check: .venv/.installed-dev ## Style, formatting and types only.
	scripts/check

page: node_modules/.installed ## Check types and formatting of the viewer's page; needs npm.
	npm run --silent check

docs: .venv/.installed-docs ## Build the documentation into site/; a warning is an error.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

bench-%: .venv/.installed-dev ## Run benchmarks/<name>.py.
	$(BIN)/python benchmarks/$*.py

clean:           ## Remove the environment and caches.
	rm -rf .venv node_modules build dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'Python 3.11 or newer is needed; name one with: make PYTHON=/path/to/python3.11 ...' >&2; exit 1; }
	$(PYTHON) -m venv .venv

node_modules/.installed: package.json
	@npm install --no-package-lock --no-audit --no-fund --silent && touch $@ || \
	  echo "The tools of the page could not be installed, so it is not checked." >&2

# Stamps: the environment is installed again only when a file that defines it changes.
.venv/.installed: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) --editable .
	@touch $@

.venv/.installed-dev: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) --editable '.[dev]'
	@touch $@ .venv/.installed

.venv/.installed-docs: pyproject.toml constraints.txt | .venv/bin/python
	$(PIP) --editable '.[docs]'
	@touch $@
