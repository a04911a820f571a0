# Commands for people and for CI. `make help` lists them.
PYTHON ?= python3
ARGS ?=
BIN := .venv/bin
READY := .venv/.ready

.DEFAULT_GOAL := help
.PHONY: help train test test-browser check format lock

help: ## list the commands
	@sed -nE 's/^([a-z-]+):.*## (.*)/make \1|\2/p' Makefile | while IFS='|' read -r name text; do printf '  %-18s %s\n' "$$name" "$$text"; done
	@echo '  make train and make test take arguments: make test ARGS="-k token -x", ARGS="-n 0" for one process'

train: $(READY) ## train the shipped policy on a world; ARGS=--help lists what can be set
	$(BIN)/lmgym train $(ARGS)

test: $(READY) ## run the tests and the examples in the docstrings
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal $(ARGS)

# Debian's packages; elsewhere any Chromium with its driver on the path will do.
test-browser: $(READY) ## run the tests that drive Chromium; installs it where it can
	@if command -v chromium >/dev/null && command -v chromedriver >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && apt-get install -qq --yes --no-install-recommends chromium chromium-driver; \
	else \
		echo 'Chromium or chromedriver is missing: sudo apt install chromium chromium-driver'; exit 1; \
	fi
	@$(BIN)/python -c 'import miniwob, playwright' 2>/dev/null || \
		$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[browser,miniwob]'
	$(BIN)/python -m pytest -m browser $(ARGS)

check: $(READY) ## lint, format check and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright

format: $(READY) ## put the code into the house's format and mend what ruff can
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

lock: $(READY) ## write the versions that are installed now to constraints.txt
	$(BIN)/pip freeze --all --exclude pip --exclude-editable | sed 's/+cpu$$//' >constraints.txt
	touch $(READY)

# The environment, made again whenever what it depends on changes.
$(READY): pyproject.toml constraints.txt
	@echo 'setting up .venv: a minute or two'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@
