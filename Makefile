# Two commands for everyone: `make backup` and `make test`. `make help` lists the rest.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
export DO_NOT_TRACK := 1
export PREFECT_SERVER_ANALYTICS_ENABLED := false

.DEFAULT_GOAL := help
.PHONY: help setup backup up test bench pictures lint torture lock clean

help: ## List what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/installed ## Create .venv with everything that Recollect needs

backup: setup ## Back up every Anki profile of this machine (a sample where there is no Anki)
	@$(BIN)/recollect backup --or-sample

up: setup ## Back up by itself from now on, with pages to look at: a Prefect server and a worker on this machine
	@$(BIN)/recollect up

test: $(VENV)/installed-dev ## Run the tests, on all processors
	$(BIN)/python -m pytest -m "not torture" --numprocesses=auto --dist=loadfile --no-loadscope-reorder

torture: $(VENV)/installed-dev ## Run the long tests
	$(BIN)/python -m pytest -m torture --timeout=3600

pictures: $(VENV)/installed-dev ## Take the pictures of the README and the guides anew
	mkdir -p docs/pictures
	RECOLLECT_TEST_PICTURES=$(CURDIR)/docs/pictures $(BIN)/python -m pytest tests/browser/test_first_days.py

bench: $(VENV)/installed-dev ## Measure beside restic, borg and rclone (SIZE=small|medium|large ROUNDS=3)
	$(BIN)/python -m bench --size $(or $(SIZE),medium) --rounds $(or $(ROUNDS),3)

lint: $(VENV)/installed-dev ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

$(VENV)/installed: requirements.lock pyproject.toml
	@echo "Setting up .venv (once; about a minute)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Recollect needs Python 3.11 or newer; name one with: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.lock
	@touch $@

lock: ## Resolve the lock files anew (needs uv)
	uv pip compile pyproject.toml --group build --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --no-annotate --quiet -o requirements.lock
	uv pip compile pyproject.toml --group build --group dev --extra sftp --extra aws-blocks --constraints requirements.lock \
		--universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --quiet -o requirements-dev.lock

clean: ## Remove .venv and what the tools left behind (never a backup)
	rm -rf $(VENV) .mypy_cache .ruff_cache .hypothesis
