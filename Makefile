# What a newcomer runs: `make demo` and `make test`; `make help` lists all. Each target sets up what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LINT := $(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports
# Two tests beside each other, since most wait for a server; those of one file follow each other, since they share one.
TESTS := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder
# Else each of the hundreds of programs that the tests start compiles all of its modules.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo lint test test-unit test-integration docs simulate fuzz fuzz-query fuzz-template mutation krew-archive clean

setup: $(READY) ## make .venv with all that development needs

$(READY): setup.cfg pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("error: Python 3.11 or newer is needed, this is %s; name one with PYTHON=" % sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet -e '.[agent,postgresql,test]'
	touch $@

help: ## list the targets
	@awk -F ' ## ' '/^[^\t#].* ## / { split($$1, target, ":"); printf "%-20s %s\n", target[1], $$2 }' Makefile

demo: $(READY) ## deliver 300 events to receivers on this machine, with the agent killed in the middle
	$(BIN)/python -m examples.demo

lint: $(READY) ## check style, types and the directions of imports
	$(LINT)

test: $(READY) ## run all checks and tests, the quick ones first, while the servers are built (log: .venv/servers.log)
	@$(BIN)/python -m testbed.servers.build_all >$(VENV)/servers.log 2>&1 & trap "kill $$! 2>/dev/null" EXIT INT TERM; \
	$(LINT) && $(TESTS) tests/unit tests/contract tests/simulation tests/e2e tests/integration

test-unit: $(READY) ## run the tests that need no server
	$(TESTS) tests/unit tests/contract

test-integration: $(READY) ## run the tests on real servers, which the first run builds into ~/.cache/kubectl-sew
	$(TESTS) tests/e2e tests/integration

docs: $(READY) ## check the documentation: links, headings, paths, commands, flags, and what examples print
	$(BIN)/python -m pytest tests/unit -m documentation

server-%: $(READY) ## run one real server until Ctrl-C: elasticsearch, kubernetes, node, alertmanager, krew or postgresql
	$(BIN)/python -m testbed.servers.$* $(VERSION)

simulate: $(READY) ## send N random histories of receivers and answers through the real dispatcher (SEED=)
	$(BIN)/python -m tests.simulation $(or $(N),10000) $(or $(SEED),1)

fuzz: $(READY) ## give N random and hostile inputs to each part that reads text from outside (SEED=, PARTS=)
	$(BIN)/python -m tests.fuzz $(or $(N),20000) $(or $(SEED),1) $(PARTS)

fuzz-query: $(READY) ## compare N random queries on random events with both versions of Elasticsearch (SEED=)
	$(BIN)/python -m tests.differential $(or $(N),20000) $(or $(SEED),1)

fuzz-template: $(READY) ## render N random templates in Calico's language beside the real Go (SEED=)
	$(BIN)/python -m tests.differential.go_templates $(or $(N),20000) $(or $(SEED),1)

mutation: $(READY) ## change one decision at a time, and list the changes that the quick tests do not notice (MUTANTS=)
	$(BIN)/pip install --quiet -e '.[agent,postgresql,test,mutation]'
	ln -sfn agent src  # mutmut knows packages in the top folder and in src/ alone
	$(BIN)/python -m tests.mutation $(MUTANTS); rm src

krew-archive: ## build what krew installs, for this platform, into dist/
	rm -rf build
	$(PYTHON) -m venv build/krew/venv
	build/krew/venv/bin/pip install --quiet '.[archive]'
	build/krew/venv/bin/python krew/archive.py build
	build/krew/venv/bin/python krew/archive.py manifest

clean: ## remove .venv and what was built
	rm -rf $(VENV) build dist *.egg-info
