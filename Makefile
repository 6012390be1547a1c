# Everything runs in .venv, which is made on first use from hashed lock files. No server has to be installed.

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { echo $$p; break; }; done)
BIN := .venv/bin
STAMP := .venv/.ready
NAME ?= all
ARGS ?=
SEEDS ?= 3
KILLS ?= 60
FAST := tests/test_architecture.py tests/test_ownership.py tests/test_money.py tests/test_money_exact.py tests/test_periods.py \
	tests/test_identifiers.py tests/test_strict_json.py tests/test_rules.py tests/test_config.py tests/test_schema.py \
	tests/test_jobs.py tests/ledger/test_postings.py tests/ledger/test_store.py tests/ledger/test_feed.py \
	tests/flows/test_payments.py tests/flows/test_order.py tests/flows/test_statements.py \
	tests/matching/test_ladder.py tests/matching/test_doubts.py tests/adapters/test_kcb.py tests/reports

# A shell that forbids compiled files makes every process compile the whole program again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo check test browser faults lint bench lock golden clean
.DELETE_ON_ERROR:

help:  ## Show this help
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP)  ## Make .venv with everything in it (the other targets do this by themselves)

demo: $(STAMP)  ## Start the embedded servers, load Busia, take payments and reconcile them; on a terminal the desk is served then
	$(BIN)/revenue-engine demo $(ARGS)

check: lint  ## Lint, types, import floors and the fast tests: in three minutes, before every commit
	$(BIN)/python -m pytest -q -n 2 --dist loadscope $(FAST) $(ARGS)

test: $(STAMP)  ## Run the test suite on real servers, two at a time (ARGS="-k words" chooses)
	$(BIN)/python -m pytest -n 2 --dist loadscope --no-loadscope-reorder $(ARGS)

browser: .venv/.browser  ## Walk the desk in a real browser (Debian's chromium or REVENUE_CHROMIUM); pictures go to var/screens
	$(BIN)/python -m pytest -q tests/browser -o python_files='journey_*.py' -p no:hypothesispytest $(ARGS)

faults: $(STAMP)  ## Kill real processes under load for longer than the suite does (SEEDS=3 or SEEDS=1,2,3; KILLS=60; MAYHEM=1)
	SEEDS=$(SEEDS) KILLS=$(KILLS) $(BIN)/python -m tests.faults

lint: $(STAMP)  ## Check style, types and the import floors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

bench: $(STAMP)  ## Measure (NAME=one chooses)
	$(BIN)/revenue-engine bench $(NAME) $(ARGS)

lock: $(STAMP)  ## Resolve the lock files anew from pyproject.toml (ARGS=--upgrade takes newer releases)
	$(BIN)/uv pip compile --universal --generate-hashes --no-emit-index-url --no-header -q $(ARGS) pyproject.toml -o requirements/run.txt
	$(BIN)/uv pip compile --universal --generate-hashes --no-emit-index-url --no-header -q --extra dev $(ARGS) \
		pyproject.toml -o requirements/dev.txt
	$(BIN)/uv pip compile --universal --generate-hashes --no-emit-index-url --no-header -q --extra dev --extra browser $(ARGS) \
		pyproject.toml -o requirements/browser.txt

golden: $(STAMP)  ## Write the golden schema anew; read the difference before committing it
	REVENUE_TEST_WRITE_GOLDEN=1 $(BIN)/python -m pytest -q tests/test_schema.py

clean:  ## Remove .venv and caches; the servers' data in var/ stays
	rm -rf .venv dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.browser: $(STAMP) requirements/browser.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/browser.txt
	@touch $@

$(STAMP): requirements/bootstrap.txt requirements/dev.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed and none was found. Install it, or say: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than Python 3.11. Say: make PYTHON=/path/to/a/newer/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make environments. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements/bootstrap.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/dev.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@
