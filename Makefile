# What a newcomer runs: `make demo` and `make test`; `make help` lists all. Each target sets up what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LINT := $(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports && $(BIN)/zizmor --quiet --offline --persona auditor .github/workflows action.yml
# Two tests beside each other, since most wait for a server; those of one file follow each other, since they share one.
PYTEST := -m pytest -n 2 --dist loadfile --no-loadscope-reorder
TESTS := $(BIN)/python $(PYTEST)
WITHOUT_SERVER := tests/unit tests/contract
# Else each of the hundreds of programs that the tests start compiles all of its modules.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo demo-dashboard pictures lint test test-unit test-integration test-matrix docs simulate prove judge fuzz fuzz-query fuzz-template mutation dashboard chart krew-archive krew-twice lock audit sbom clean

setup: $(READY) ## make .venv with all that development needs

$(READY): setup.cfg pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("error: Python 3.11 or newer is needed, this is %s; name one with PYTHON=" % sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet -e '.[agent,dashboard,opentelemetry,postgresql,test]'
	touch $@

help: ## list the targets
	@awk -F ' ## ' '/^[^\t#].* ## / { split($$1, target, ":"); printf "%-20s %s\n", target[1], $$2 }' Makefile

demo: $(READY) ## deliver 300 events to receivers on this machine, with the agent killed in the middle
	$(BIN)/python -m examples.demo

demo-dashboard: $(READY) ## the same, and leave an agent and its dashboard running until Ctrl-C
	$(BIN)/python -m examples.demo --dashboard

pictures: $(READY) ## draw docs/pictures anew, of a real dashboard in a real browser, which it installs
	$(BIN)/python -m tests.e2e.pictures

lint: $(READY) ## check style, types and the directions of imports
	$(LINT)

test: $(READY) ## run all checks and tests, the quick ones first, while the servers are built (log: .venv/servers.log)
	@$(BIN)/python -m testbed.servers.build_all >$(VENV)/servers.log 2>&1 & trap "kill $$! 2>/dev/null" EXIT INT TERM; \
	$(LINT) && $(TESTS) $(WITHOUT_SERVER) tests/simulation tests/proof tests/e2e tests/integration && \
	$(BIN)/python -m testbed.pythons farthest $(PYTEST) $(WITHOUT_SERVER)

test-unit: $(READY) ## run the tests that need no server
	$(TESTS) $(WITHOUT_SERVER)

test-integration: $(READY) ## run the tests on real servers, which the first run builds into ~/.cache/kubectl-sew
	$(TESTS) tests/e2e tests/integration

test-matrix: $(READY) ## run what `make test` leaves out, part by part, and say in the last lines what passed
	$(BIN)/python -m testbed.run_matrix

test-on-helm_3: $(READY) ## run one part of the matrix: the chart, by Helm 3
	SEW_TEST_MATRIX=1 $(TESTS) tests/integration/install/test_helm_*.py

test-on-security: $(READY) ## another part: the users and rights of more servers with security
	SEW_TEST_MATRIX=1 $(TESTS) tests/integration/elasticsearch/test_security.py

NO_CLUSTER := image krew_archive wheel

test-on-kubernetes_%: $(READY) ## the plugin, installations, policies and agents in a cluster, on an API server and kubectl of kubernetes_1.36
	KUBERNETES_VERSION=$* $(TESTS) $(addprefix tests/integration/,cluster gitops plugin install) $(NO_CLUSTER:%=--ignore=tests/integration/install/test_%.py)

test-on-python_%: $(READY) ## the tests that need no server, on another Python: python_3.12, or python_3.11.2
	$(BIN)/python -m testbed.pythons $* $(PYTEST) $(WITHOUT_SERVER)

test-on-%: $(READY) ## reading events, what queries mean, and what the plugin asks an index, on elasticsearch_8_19, elasticsearch_9_5, opensearch_3, …
	SEARCH_SERVER=$* $(TESTS) tests/integration/elasticsearch tests/integration/plugin/test_*_on_elasticsearch.py tests/integration/test_query_semantics.py

docs: $(READY) ## check the documentation: links, headings, paths, commands, flags, and what examples print
	$(BIN)/python -m pytest tests/unit -m documentation

server-%: $(READY) ## run one real server until Ctrl-C: elasticsearch, opensearch, secured, kubernetes, node, alertmanager, helm, krew or postgresql
	$(BIN)/python -m testbed.servers.$* $(VERSION)

simulate: $(READY) ## send N random histories of receivers and answers through the real dispatcher (SEED=)
	$(BIN)/python -m tests.simulation $(or $(N),10000) $(or $(SEED),1)

prove: $(READY) ## run real agents under random faults, and judge what arrived (SETUP=, EVENTS=, WEBHOOKS=, KILLS=, SEED=)
	$(BIN)/python -m tests.proof $(or $(SETUP),files) $(if $(EVENTS),--events $(EVENTS)) $(if $(WEBHOOKS),--webhooks $(WEBHOOKS)) $(if $(KILLS),--kills $(KILLS)) $(if $(SEED),--seed $(SEED))

judge: $(READY) ## judge a run of `make prove` again that broke a promise (HISTORY=)
	$(BIN)/python -m tests.proof judge --history $(HISTORY)

fuzz: $(READY) ## give N random and hostile inputs to each part that reads text from outside (SEED=, PARTS=)
	$(BIN)/python -m tests.fuzz $(or $(N),20000) $(or $(SEED),1) $(PARTS)

fuzz-query: $(READY) ## compare N random queries on random events with both versions of Elasticsearch (SEED=, ON=opensearch_2)
	$(BIN)/python -m tests.differential $(or $(N),20000) $(or $(SEED),1) $(ON)

fuzz-template: $(READY) ## render N random templates in Calico's language beside the real Go (SEED=)
	$(BIN)/python -m tests.differential.go_templates $(or $(N),20000) $(or $(SEED),1)

mutation: $(READY) ## change one decision at a time, and list the changes that the quick tests do not notice (MUTANTS=)
	$(BIN)/pip install --quiet -e '.[agent,dashboard,opentelemetry,postgresql,test,mutation]'
	ln -sfn agent src  # mutmut knows packages in the top folder and in src/ alone
	$(BIN)/python -m tests.mutation $(MUTANTS); rm src

dashboard: $(READY) ## write Grafana's dashboard, manifests/monitoring/dashboard.json
	$(BIN)/python manifests/monitoring/make_dashboard.py

chart: $(READY) ## copy into the Helm chart what it shares with manifests/, and write its table of values
	cp manifests/base/crd.yaml manifests/base/alertexceptions.yaml charts/kubectl-sew/files/
	cp manifests/monitoring/prometheusrule.yaml manifests/monitoring/dashboard.json charts/kubectl-sew/files/
	$(BIN)/python charts/values_table.py

krew-archive: ## build what krew installs, for this platform, into dist/
	rm -rf build
	$(PYTHON) -m venv build/krew/venv
	build/krew/venv/bin/pip install --quiet --require-hashes --only-binary :all: -r krew/requirements.txt
	build/krew/venv/bin/pip install --quiet --no-deps --no-index --no-build-isolation .
	build/krew/venv/bin/python krew/archive.py build
	build/krew/venv/bin/python krew/archive.py manifest

krew-twice: ## build the archive twice, in two environments, and compare the bytes
	$(MAKE) krew-archive && sha256sum dist/kubectl-sew-*.tar.gz >build.first
	$(MAKE) krew-archive && sha256sum --check build.first; code=$$?; rm build.first; exit $$code

LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras \
	--custom-compile-command 'make lock' setup.cfg

lock: $(READY) ## pin what goes into the image and the archives, by hash, at the newest versions that setup.cfg allows
	$(BIN)/pip install --quiet -e '.[release]'
	$(LOCK) --extra agent --extra opentelemetry --extra postgresql --extra build --output-file agent/requirements.txt
	$(LOCK) --extra archive --extra build --output-file krew/requirements.txt
	$(LOCK) --extra sbom --output-file krew/sbom-requirements.txt

audit: $(READY) ## look for known vulnerabilities in what is pinned, and fail where PyPI could not be asked
	$(BIN)/pip install --quiet -e '.[release]'
	for file in agent krew; do $(BIN)/pip-audit --strict --require-hashes --disable-pip -r $$file/requirements.txt || exit 1; done

SBOM := build/sbom/bin/cyclonedx-py requirements --output-reproducible --mc-type application --output-file

sbom: ## write what is in the image and the archives, as CycloneDX, into dist/
	mkdir -p dist
	$(PYTHON) -m venv build/sbom
	build/sbom/bin/pip install --quiet --require-hashes --only-binary :all: -r krew/sbom-requirements.txt
	$(SBOM) dist/sew-agent.cdx.json agent/requirements.txt
	$(SBOM) dist/kubectl-sew.cdx.json krew/requirements.txt

clean: ## remove .venv and what was built
	rm -rf $(VENV) $(VENV)-* build dist *.egg-info
