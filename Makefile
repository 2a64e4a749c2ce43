# make run    set everything up and start the service (later starts skip the set-up)
# make test   what continuous integration runs: format, lint, types, tests
# make help   the other targets

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# Passed on: make run ARGS="--port 9000", make test ARGS="-k barge_in -x"
ARGS   ?=

PIP    := $(BIN)/python -m pip --disable-pip-version-check
# One of them: make bench BENCHES=latency
BENCHES ?= latency barge_in words sessions churn

.PHONY: help run test check lint format types unit peers bench models lock clean

help:  ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## */\1\t/' | expand -t 10

run: $(VENV)/.project models  ## set up if need be, then serve (ARGS: see `voice serve --help`)
	@exec $(BIN)/voice serve $(ARGS)

test: $(VENV)/.dev models peers check unit  ## format check, lint, types and tests

check: lint types

lint: $(VENV)/.dev  ## ruff: format check and rules
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

types: $(VENV)/.dev  ## mypy, strict
	@$(BIN)/mypy

unit: $(VENV)/.dev  ## pytest (ARGS go to it)
	@$(BIN)/pytest $(ARGS)

peers:  ## install the programs that the interop tests talk to (Debian packages as root, npm)
	@deploy/peers.sh

format: $(VENV)/.dev  ## let ruff rewrite the sources
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(VENV)/.dev models  ## every bench in turn, each prints a table
	@for bench in $(BENCHES); do echo "== $$bench"; $(BIN)/python -m bench.$$bench $(ARGS); done

models: $(VENV)/.project  ## fetch the embedded models that are not there yet
	@$(BIN)/voice models fetch

lock: deploy/lock.sh  ## resolve the dependencies anew
	@PYTHON=$(PYTHON) deploy/lock.sh

clean:  ## remove the virtual environment and all caches (fetched models stay)
	@rm -rf $(VENV) .venv-lock .mypy_cache .ruff_cache .pytest_cache .hypothesis tests/interop/node/node_modules
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- set-up, each step done once ----------------------------------------------------------------------------

$(VENV)/.created: deploy/venv.sh
	@deploy/venv.sh $(PYTHON) $(VENV)
	@touch $@

$(VENV)/.requirements: requirements.lock $(VENV)/.created
	@echo "Installing the dependencies ..."
	@$(PIP) install --quiet --require-hashes -r requirements.lock
	@touch $@

$(VENV)/.project: pyproject.toml $(VENV)/.requirements
	@$(PIP) install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.project
	@echo "Installing what the tests take ..."
	@$(PIP) install --quiet --require-hashes -r requirements-dev.lock
	@touch $@
