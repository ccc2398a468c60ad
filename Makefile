# Needs Python >= 3.11 and make, nothing else. Everything goes into .venv and .data.
.DEFAULT_GOAL := help
.PHONY: help run install test unit check lint format audit vulnerabilities clean

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

help: ## shows the targets
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 18

run: $(STAMP) ## starts everything (PORT=8000, data in .data); Ctrl-C stops it
	@exec $(BIN)/guichet up

install: $(STAMP) ## makes .venv

# Side by side, file by file: most of a crash test is waiting. How many at once: tests/conftest.py. In the order of the
# folders, so that the short files of tests/unit come last: the longest ones have few tests, and would be left over.
test: $(STAMP) ## runs every test, on servers of their own
	$(BIN)/python -m pytest tests -n auto --dist loadfile --no-loadscope-reorder

unit: $(STAMP) ## runs the tests that need no server
	$(BIN)/python -m pytest tests/unit tests/architecture

check: lint unit ## lint, types, import rules, unit tests

lint: $(STAMP) ## lint, types, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy api worker shared scripts
	$(BIN)/lint-imports

format: $(STAMP) ## mends what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

audit: $(STAMP) ## replays every ledger of the running installation
	$(BIN)/guichet audit

# Asks the network, so no test does it. A package that it could not ask about fails too. What is accepted, until when and
# why: deploy/accepted-vulnerabilities.txt.
vulnerabilities: $(STAMP) ## asks whether a pinned package has a known vulnerability
	$(BIN)/pip-audit --requirement constraints.txt --no-deps --disable-pip --strict --progress-spinner off \
		$$(awk -v today=$$(date +%F) '!/^#/ && $$2 >= today { print "--ignore-vuln", $$1 }' deploy/accepted-vulnerabilities.txt)

clean: ## removes .venv and caches, keeps .data
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage*

# A new constraint or dependency installs again; an interrupted installation starts over.
$(STAMP): pyproject.toml constraints.txt scripts/find-python
	python=$$(sh scripts/find-python) && { [ -x $(BIN)/python ] || "$$python" -m venv $(VENV); }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[embedded,dev]'
	@touch $(STAMP)
