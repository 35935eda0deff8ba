# The targets that need the environment make it, in .venv/, and make it anew when pyproject.toml changes.
PYTHON ?= python3
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help demo dev test check format lint types imports unit weaviate .venv

help: ## Show these targets
	@sed -n 's/^\([a-z.]*\):[^#]*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 12

demo: .venv ## Talk over real documents, kill a worker on the way, lose nothing (DOCS=folder to choose them)
	$(BIN)/perdure demo $(if $(DOCS),--docs '$(DOCS)')

dev: .venv ## Run the stack and a worker until Ctrl-C
	$(BIN)/perdure dev

test: .venv weaviate ## Run all tests, on real servers: two side by side, since they wait more than they compute
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

check: format lint types imports unit ## Run what needs no server: format, lint, types, imports, unit tests

format: .venv
	$(BIN)/ruff format --check

lint: .venv
	$(BIN)/ruff check

types: .venv
	$(BIN)/mypy

imports: .venv
	$(BIN)/lint-imports

unit: .venv
	$(BIN)/python -m pytest -q tests/unit

weaviate: .venv ## Get the Weaviate server, once, into the cache
	@$(BIN)/python -m workers.stack.weaviate_binary

.venv: .venv/.made ## Make the environment

.venv/.made: pyproject.toml
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Perdure needs Python 3.11 or newer: make PYTHON=python3.x")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[server]' --group dev
	@touch $@
