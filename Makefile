# What a newcomer runs: `make demo` (the main job, whole, on this machine) and `make test` (all checks). Both set themselves up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test test-unit test-integration fuzz fuzz-query mutation lint setup clean krew-archive

setup: $(READY)

$(READY): setup.cfg pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("error: Python 3.11 or newer is needed, this is %s; name one with PYTHON=" % sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet -e '.[agent,test]'
	touch $@

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# All of it, the quick tests first.
test: lint
	$(BIN)/python -m pytest tests/unit tests/contract tests/simulation tests/integration tests/e2e

# Seconds, and no servers.
test-unit: $(READY)
	$(BIN)/python -m pytest tests/unit tests/contract

# Against real servers, which the first run builds or installs into ~/.cache/kubectl-sew.
test-integration: $(READY)
	$(BIN)/python -m pytest tests/integration tests/e2e

# Random histories of receivers and answers, N of them, through the real scheduler.
simulate: $(READY)
	$(BIN)/python -m tests.simulation $(or $(N),10000) $(or $(SEED),1)

# Random queries on random events, N of them, against both versions of Elasticsearch.
fuzz-query: $(READY)
	$(BIN)/python -m tests.differential $(or $(N),20000) $(or $(SEED),1)

# Random and hostile inputs for all that reads text from outside, N of them for each part, the same ones for one SEED.
fuzz: $(READY)
	$(BIN)/python -m tests.fuzz $(or $(N),20000) $(or $(SEED),1) $(PARTS)

# Turns round one comparison, number or argument at a time in the modules that setup.cfg names, and lists those that
# the quick tests do not notice; MUTANTS names a part, such as 'sew_agent.delivery.retry*'.
mutation: $(READY)
	$(BIN)/pip install --quiet -e '.[agent,test,mutation]'
	ln -sfn agent src  # mutmut knows packages in the top folder and in src/ alone
	$(BIN)/mutmut run $(MUTANTS); rm src
	$(BIN)/mutmut results

demo: $(READY)
	$(BIN)/python -m examples.demo

# What krew installs, for this platform: dist/kubectl-sew-OS-ARCH.tar.gz, which needs no Python, and dist/sew.yaml.
krew-archive:
	rm -rf build
	$(PYTHON) -m venv build/krew/venv
	build/krew/venv/bin/pip install --quiet '.[archive]'
	build/krew/venv/bin/python krew/archive.py build
	build/krew/venv/bin/python krew/archive.py manifest

clean:
	rm -rf $(VENV) build dist *.egg-info
