# Everything runs in a virtual environment of its own; all it takes is Python ≥ 3.11 and make.
# `make PYTHON=python3.12 POOLSCOPE_VENV=/somewhere test` chooses both.

.DEFAULT_GOAL := help
VENV := $(or $(POOLSCOPE_VENV),.venv)
BIN := $(VENV)/bin
# The newest interpreter is not always named python3, and a name on the PATH may not start.
find_python = for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo $$name; exit; }; done
PYTHON ?= $(shell $(find_python))
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
TESTS ?= tests
# Tests run side by side, in as many processes as there are cores: JOBS=0 for one, as a debugger wants it.
JOBS ?= auto
PYTEST := $(BIN)/python -m pytest -n $(JOBS) --dist worksteal
NEEDS_MORE := long or stack or caddy or root or browser or validators or sdks or python314
FAST := not (processes or load or $(NEEDS_MORE))
MEASURED := not (load or $(NEEDS_MORE))
SUITES ?= httpx httpcore requests aiohttp urllib3
VERSIONS ?= oldest older old
OLD ?= truth cli signals compat services

.PHONY: help print-python hooks clean
.PHONY: lint format types mypy check test test-fast test-all truth long regress coverage upstream versions
.PHONY: old-suites test-search test-root test-caddy test-stack test-browser test-validators test-attach sdks pairs
.PHONY: bench bench-ir bench-volume bench-service components stack stack-local screenshots panels dashboards
.PHONY: demo readme pictures docs docs-serve dist package release-files workflows

help:
	@echo 'make demo      the report of the seed programs, against an embedded server'
	@echo 'make test-fast the tests that take no time, for while you edit: under a minute (TESTS=tests/libraries for some)'
	@echo 'make test      every test that needs nothing but Python: five to eight minutes on two cores'
	@echo 'make test-all  everything: the stack, Caddy, the libraries'"'"' own suites, their old versions, 10,000 exchanges each'
	@echo 'make test-search  the property-based tests with other examples each time; else they repeat the same ones'
	@echo 'make test-root  as root: other users, small disks, containers'
	@echo 'make coverage  which lines and branches no test runs, processes and threads included'
	@echo 'make test-browser  the HTML page and traces in a real Chromium'
	@echo 'make test-attach   poolscope attach, under a real Python 3.14'
	@echo 'make long      the tests that take minutes, each with its reason'
	@echo 'make regress   the tests of fixed faults over the code that had them: each must fail there and pass here'
	@echo 'make lint      ruff; make format fixes what it can'
	@echo 'make workflows what runs on a forge, by zizmor and actionlint (needs Go)'
	@echo 'make types     mypy and pyright, over the tests as well'
	@echo 'make bench-volume  bytes, spans and series that are sent, beside the official package'
	@echo 'make check     lint, types and test'
	@echo 'make hooks     have git check lint and types before each commit'
	@echo 'make bench     what observing costs, beside the official packages'
	@echo 'make bench-service  what observing costs in a FastAPI service that exports, with 8, 20 and 50 requests in flight'
	@echo 'make bench-ir  the same in instructions, by the size of the pool (needs valgrind)'
	@echo 'make upstream  the libraries'"'"' own test suites with and without poolscope (SUITES="httpx urllib3")'
	@echo 'make old-suites  the tests as they were before the hooks were rebuilt, over the code of today (OLD="cli signals")'
	@echo 'make versions  the tests of the hooks over old versions of the libraries (VERSIONS=oldest)'
	@echo 'make stack     services, Collector, Jaeger, Prometheus and Grafana in containers; stack-local without'
	@echo 'make screenshots  pictures of the running stack'"'"'s pages, by a headless Chromium'
	@echo 'make panels    every panel of the dashboards as a picture, of the running stack (PANELS="--export 60")'
	@echo 'make dashboards  write the dashboards and the page in Prometheus from stack/rows.py'
	@echo 'make pictures  pictures of the HTML page of two examples, by a headless Chromium'
	@echo 'make dist      the sdist and the wheel, into dist/'
	@echo 'make package   both, tried: the wheel in a new environment, the tests out of the sdist'
	@echo 'make docs      the documentation as a site, in build/site; docs-serve shows it while you write'
	@echo 'make pairs     the saving that PS101 promises beside the real one (needs root)'
	@echo 'make sdks      the findings in programs that use openai, botocore and the like well and badly'
	@echo 'make readme    put the newest report of the seed program into README.md'

print-python:
	@echo $(PYTHON)

$(BIN)/python:
	@test -n '$(PYTHON)' || { echo 'poolscope needs Python 3.11 or newer; none found (set PYTHON=...)' >&2; exit 2; }
	@echo '[1/2] a virtual environment in $(VENV) ($(PYTHON))' >&2
	@$(PYTHON) -m venv --clear $(VENV) || { echo 'could not make $(VENV): on Debian, install python3-venv' >&2; exit 2; }

# A stamp is newer than what it was made from exactly when the installation is complete.
$(VENV)/demo.stamp: pyproject.toml | $(BIN)/python
	@echo '[2/2] poolscope and the libraries that the demo uses' >&2
	@$(PIP) install --editable '.[demo]'
	@touch $@

# pip reads dependency groups since 25.1.
$(VENV)/pip.stamp: | $(BIN)/python
	@$(BIN)/python -c 'import pip; raise SystemExit(tuple(map(int, pip.__version__.split(".")[:2])) < (25, 1))' \
		|| $(PIP) install --upgrade 'pip>=25.1'
	@touch $@

# Only ruff: a file that is not formatted is known seconds after a clone.
$(VENV)/lint.stamp: pyproject.toml | $(VENV)/pip.stamp
	@$(PIP) install --group lint
	@touch $@

$(VENV)/dev.stamp: pyproject.toml | $(VENV)/pip.stamp
	@echo '[2/2] poolscope, every library it observes, and the tools (a minute or two the first time)' >&2
	@$(PIP) install --editable '.[all]' --group dev
	@touch $(VENV)/demo.stamp $(VENV)/lint.stamp $@

demo: $(VENV)/demo.stamp
	@$(BIN)/poolscope demo

test: $(VENV)/dev.stamp
	$(PYTEST) $(TESTS)

# TESTS=tests/cli/test_children.py for some.
regress: $(VENV)/dev.stamp
	@$(BIN)/python -m tests.regress $(filter-out tests,$(TESTS))

long: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -m long $(TESTS)

# Whatever takes a second here deserves a marker, and to be left out.
test-fast: $(VENV)/dev.stamp
	$(PYTEST) -m '$(FAST)' --durations=5 --durations-min=1 $(TESTS)

test-all: test test-search test-root sdks test-caddy test-stack test-browser test-validators test-attach truth long regress upstream versions

# The property-based tests with other examples each time; elsewhere they repeat the same ones.
test-search: $(VENV)/dev.stamp
	HYPOTHESIS_PROFILE=search $(PYTEST) $(shell grep -rl 'from hypothesis import given\|from hypothesis.stateful' tests)

test-root: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -m 'root and not stack' tests/cli tests/stack

test-caddy: $(VENV)/dev.stamp
	$(PYTEST) -m 'caddy and not stack' tests/real_service

$(VENV)/sdks.stamp: $(VENV)/dev.stamp
	@$(PIP) install --group sdks
	@touch $@

pairs: $(VENV)/dev.stamp
	$(BIN)/python -m bench.pairs

sdks: $(VENV)/sdks.stamp
	$(BIN)/python -m pytest -m sdks tests/findings

# Python 3.14 comes from .ci/newer_pythons.py where the system has none.
test-attach: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -m python314 tests/look

# In one process: these tests share a browser.
test-browser: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -m browser tests/pictures

# SARIF before Microsoft's validator with GitHub's rules, workflows before actionlint.
test-validators: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -m validators tests

# In one process: these tests share the Collector, Jaeger and Prometheus that they start.
test-stack: components
	$(BIN)/python -m pytest -m stack tests/stack

components: $(VENV)/dev.stamp
	$(BIN)/python -m stack.binaries

# 10,000 exchanges and more of each library, judged one by one.
truth: $(VENV)/dev.stamp
	POOLSCOPE_TRUTH=full $(PYTEST) -m load tests/truth

# It always prints the report. Then it names the tests that failed and fails, so that nobody takes what these did not run for
# untested code. CI goes on: `make test` has judged them, and measured tests are slow enough for timeouts. CONTRIBUTING.md
# says what coverage cannot see.
coverage: $(VENV)/dev.stamp
	@rm -rf build/coverage
	$(BIN)/coverage run -m pytest -n $(JOBS) --dist worksteal -o cache_dir=$(CURDIR)/build/coverage/pytest -m '$(MEASURED)' $(TESTS); \
	tests=$$?; $(BIN)/coverage combine --quiet && $(BIN)/coverage report || exit; \
	[ $$tests = 0 ] || { echo "pytest ended with status $$tests. Failed, while they were measured:" >&2; \
		sed -n 's/^ *"\(.*\)": true,*$$/  \1/p' build/coverage/pytest/v/cache/lastfailed >&2; exit $$tests; }

lint: $(VENV)/lint.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# actionlint is a Go program; go run builds it once.
ACTIONLINT ?= go run github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
workflows: $(VENV)/lint.stamp
	$(BIN)/zizmor --offline --no-progress --persona=pedantic .github
	$(ACTIONLINT)

format: $(VENV)/lint.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

mypy: $(VENV)/dev.stamp
	$(BIN)/mypy

check: lint types test

hooks: $(VENV)/dev.stamp
	$(BIN)/pre-commit install

bench: $(VENV)/dev.stamp
	$(BIN)/python -m bench

bench-ir: $(VENV)/dev.stamp
	$(BIN)/python -m bench.instructions

bench-volume: $(VENV)/dev.stamp
	$(BIN)/python -m bench.volume

bench-service: $(VENV)/dev.stamp
	$(BIN)/python -m bench.service

upstream: $(VENV)/dev.stamp
	$(BIN)/python -m tests.upstream $(SUITES)

# Where behaviour has changed on purpose, tests/old_suites/README.md says why.
old-suites: $(VENV)/dev.stamp
	$(BIN)/python -m tests.old_suites $(OLD)

versions: $(VENV)/dev.stamp
	$(BIN)/python -m tests.versions $(VERSIONS)

$(VENV)/package.stamp: pyproject.toml | $(VENV)/pip.stamp
	@$(PIP) install --group package
	@touch $@

# The site, in build/site; make docs-serve shows it while you write.
$(VENV)/docs.stamp: pyproject.toml | $(VENV)/pip.stamp
	@$(PIP) install --group docs
	@touch $@

# The variable: no advertisement for the builder's successor.
MKDOCS := NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs
docs: $(VENV)/docs.stamp
	$(MKDOCS) build --strict

docs-serve: $(VENV)/docs.stamp
	$(MKDOCS) serve

# The wheel is built from the sdist, so nothing that it needs is missing there.
dist: $(VENV)/package.stamp
	rm -rf dist
	$(BIN)/python -m build --outdir dist
	$(BIN)/python -m twine check --strict dist/*

package: dist
	$(BIN)/python tools/check_package.py dist

# What goes to the index names its repository: POOLSCOPE_REPOSITORY=https://HOST/OWNER/NAME; and TAG is its version.
release-files:
	@test -n '$(POOLSCOPE_REPOSITORY)' || { echo 'set POOLSCOPE_REPOSITORY: the index shows it' >&2; exit 2; }
	@grep -q "^__version__ = \"$(TAG:v%=%)\"" src/poolscope/__init__.py \
		|| { echo 'TAG=$(TAG) is not v and the version in src/poolscope/__init__.py' >&2; exit 2; }
	@$(MAKE) --no-print-directory package

readme: $(VENV)/demo.stamp
	$(BIN)/python tools/readme_report.py

stack:
	@docker compose version >/dev/null 2>&1 || { echo 'docker compose is not here: make stack-local needs no containers' >&2; exit 2; }
	docker compose up --build --detach
	@echo 'Grafana     http://localhost:3000'
	@echo 'Jaeger      http://localhost:16686'
	@echo 'Prometheus  http://localhost:9090 (both services: /consoles/poolscope.html?export=5)'
	@echo 'Events      http://localhost:9428/select/vmui/'
	@echo 'OTLP        localhost:4317 (gRPC), http://localhost:4318 (HTTP)'
	@echo 'what the downstream counted  http://localhost:8901'

# STACK='--seconds 60 --any-ports' for example; what is missing of the components is built first.
stack-local: $(VENV)/dev.stamp
	@$(BIN)/python -m stack.local $(STACK)

# Of the stack that is running, into build/screenshots.
screenshots: $(VENV)/dev.stamp
	@$(BIN)/python -m stack.screenshots http://127.0.0.1:9090 --jaeger http://127.0.0.1:16686 --export 2

# Of the same, into build/panels: what Grafana shows, for the docs.
PANELS ?= --export 2 --minutes 5
panels: $(VENV)/dev.stamp
	@$(BIN)/python -m stack.pictures http://127.0.0.1:9090 $(PANELS)

# Of the HTML page, into build/pictures.
pictures: $(VENV)/dev.stamp
	@$(BIN)/python tools/pictures.py

dashboards: $(VENV)/dev.stamp
	$(BIN)/python -m stack.dashboards

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
