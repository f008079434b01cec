# Rota's commands. `make run` and `make test` set up what they need; nothing else has to be done first.

VENV := .venv
BIN := $(VENV)/bin
MAIN_JOB := examples/main_job.py

.DEFAULT_GOAL := help
.PHONY: help setup run test test-all check format mutants chaos bench clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 16

setup: $(VENV)/.ready ## make .venv with everything for development

run: $(VENV)/.runs ## run the main job (Ctrl-C ends it after what is running)
	@$(BIN)/rota run $(MAIN_JOB)

test: $(VENV)/.ready ## run the tests that need no server, in some minutes
	@scripts/test $(ARGS)

test-all: $(VENV)/.ready ## run what test leaves out: servers, killed processes, many seeds, other Pythons
	@scripts/test-all $(ARGS)

check: $(VENV)/.ready ## the fast gates, under a minute: form, lint, types, layers, core tests
	@scripts/check $(ARGS)

format: $(VENV)/.ready ## write the code in the project's form
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

mutants: $(VENV)/.ready ## tell which small changes of the core no test of it notices, in a quarter of an hour
	@nice $(BIN)/python scripts/mutants $(ARGS)

chaos: $(VENV)/.ready ## kill processes for some minutes, and print whether the ledgers add up
	@$(BIN)/python -m tests.faults.chaos $(ARGS)

bench: .venvs/bench/.ready .venvs/bench-apscheduler4/.ready ## measure, side by side with APScheduler 3
	@.venvs/bench/bin/python -m benchmarks $(ARGS)

clean: ## remove what the commands above have made
	rm -rf $(VENV) .venvs build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps: an environment is made again or brought up to date only when pyproject.toml has changed.

$(VENV)/.runs: pyproject.toml
	@scripts/setup $(VENV) cli,sql
	@touch $@

$(VENV)/.ready: pyproject.toml
	@scripts/setup $(VENV) all,dev
	@touch $@ $(VENV)/.runs

.venvs/bench/.ready: pyproject.toml
	@scripts/setup .venvs/bench sql,postgresql,mysql,redis,bench
	@touch $@

# Another release of a package of the same name needs an environment of its own; without it the others are measured all the same.
.venvs/bench-apscheduler4/.ready: pyproject.toml
	-@scripts/setup .venvs/bench-apscheduler4 bench-apscheduler4 && touch $@

# tests/compat/test_libraries.py asks for these: libraries that were written for APScheduler, each in an environment of its own.
.venvs/library-%/.ready: tests/compat/libraries/%.txt
	@scripts/setup-library $(BIN)/python $*
	@touch $@

.venvs/%/.ready: pyproject.toml
	@scripts/setup .venvs/$* all,dev $*
	@touch $@
