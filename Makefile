# Each target first installs what it needs into a virtual environment, and again whenever pyproject.toml has changed.
# The tests and checks use the versions that constraints/development.txt pins.
# PYTHON selects the interpreter; ARGS are the arguments of the command: make run ARGS="--listen 127.0.0.1:9000"

PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)
VENV := .venv
BIN := $(VENV)/bin
ARGS :=
SEEDS := 1000
FIRST_SEED := 0
SECONDS := 600
MINUTES := 30
EXAMPLES := 30
ROUNDS := 50
CHAOS := tests
LOWEST := $(VENV)-lowest
# Tests wait for processes and peers, so one worker more than cores; more than four do not help. The order of the files
# is that of tests/conftest.py: by their numbers of tests, the longest would come last.
WORKERS := $(shell cores=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2); echo $$((cores < 4 ? cores + 1 : 4)))
CODE := $(wildcard src tests bench examples contrib/cluster contrib/site)
# Exercises every dependency: the book, the AWS wire, WebRTC peers, encoders' media, LiveKit, webhooks, the commands, traces.
LOWEST_TESTS := $(addprefix tests/,book/sqlite config storage server/http api/watch/metrics) \
	$(addprefix tests/book/postgres/test_postgres_,book.py connection.py pages.py) \
	$(addprefix tests/cli/,books installation terminal events/test_event_export.py) \
	$(addprefix tests/media/,composition ingest/pipeline livekit recording/thumbnails rtc/dtls rtc/srtp) \
	$(addprefix tests/media/recording/test_,aac_encoder.py opus_to_aac.py sound_and_pictures.py) \
	$(addprefix tests/media/rtc/peers/test_,dtls_roles.py media.py) \
	$(addprefix tests/e2e/,aws/test_every_operation.py aws/test_documented_commands.py telemetry webhooks)
# The tests start many servers. Without cached bytecode each one compiles its modules again.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: run demo test chaos test-client test-console test-examples test-livekit test-network test-package test-recording test-sdk test-servers test-site test-slow test-lowest test-all audit constraints package check format bench simulate fuzz soak conformance console-vendor screenshots layout-pictures site site-serve clean

run: $(VENV)/.run
	@$(BIN)/stagebook serve $(ARGS)

demo: $(VENV)/.demo
	@$(BIN)/stagebook demo $(ARGS)

test: $(VENV)/.dev
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

# The open client in Chromium and Firefox, with failures of the server and the network.
test-client: $(VENV)/.dev
	$(BIN)/python -m pytest tests/e2e/client -m client --numprocesses 2 $(ARGS)

# The console on every page, in Chromium and Firefox.
test-console: $(VENV)/.dev
	$(BIN)/python -m pytest tests/e2e/console -m console --numprocesses 2 --dist loadfile $(ARGS)

# The examples in other languages, which npm, Go and Maven build, and the web page on Amazon's SDK, in Chromium.
test-examples: $(VENV)/.dev
	$(BIN)/python -m pytest tests/e2e/examples -m examples $(ARGS)

# Servers that no package has, for test-livekit and test-recording. Go builds them once. A build in the middle of a test
# would take the processor from others, which wait for real time.
test-servers: $(VENV)/.dev
	@$(BIN)/python -m tests.go_programs

# A real LiveKit server as the media engine, and the history of one; then the tests of participants and browsers with it.
# The tests mostly wait: LiveKit takes 15 s to give a peer up.
test-livekit: test-servers
	$(BIN)/python -m pytest tests/e2e/livekit -m livekit --numprocesses 2 --dist loadfile $(ARGS)
	$(BIN)/python -m pytest -p tests.e2e.livekit.engine_plugin tests/e2e/participants tests/e2e/browser \
	--numprocesses 4 --dist loadfile $(ARGS)

# Media on emulated networks, with browsers and other peers.
test-network: $(VENV)/.dev
	$(BIN)/python -m pytest tests/network -m network --numprocesses 2 --dist loadfile $(ARGS)

# Recordings and compositions: real publishers, players, encoders and an S3 server.
test-recording: test-servers
	$(BIN)/python -m pytest -m recording tests/e2e/recording tests/storage --numprocesses 2 --dist loadfile $(ARGS)

# All versions of Amazon's Web Broadcast SDK that are tested, in Chromium.
test-sdk: $(VENV)/.dev
	$(BIN)/python -m pytest -m sdk --numprocesses $(WORKERS) tests/e2e/sdk $(ARGS)

# The wheel, installed as users install it.
test-package: $(VENV)/.dev
	$(BIN)/python -m pytest tests/e2e/package -m package --numprocesses $(WORKERS) --dist loadfile $(ARGS)

# The tutorials, and the examples of the documentation site with the AWS CLI and Node.js.
test-site: $(VENV)/.dev
	$(BIN)/python -m pytest tests/e2e/site -m site --numprocesses $(WORKERS) --dist loadfile $(ARGS)

# What `make test` proves with one codec, form or size, with the others; and long runs.
test-slow: $(VENV)/.dev
	$(BIN)/python -m pytest -m slow --numprocesses $(WORKERS) --dist loadfile $(ARGS)

# LOWEST_TESTS with the lower bounds of the dependencies, in an environment of their own.
test-lowest: $(LOWEST)/.dev
	$(LOWEST)/bin/python -m pytest $(LOWEST_TESTS) --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

$(LOWEST)/.dev: $(BIN)/python pyproject.toml
	@$(BIN)/python -m venv $(LOWEST)
	@$(BIN)/python -c 'import tomllib; \
	print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], sep="\n")' \
	| sed 's/>=/==/' > $(LOWEST)/constraints.txt
	@$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check \
	--constraint $(LOWEST)/constraints.txt --editable '.[dev]'
	@touch $@

# Known vulnerabilities of the pinned and of the lowest versions. Succeeds without a result where no service can be reached.
audit: $(VENV)/.dev
	@$(BIN)/python -m tests.dependency_audit constraints/development.txt $(wildcard $(LOWEST)/constraints.txt)

# What takes longer than `make test`, one after the other. The simulation has other seeds than `make test`. With `make -k`,
# the others run after one that failed.
test-all: EXAMPLES := 15
test-all: SEEDS := 60
test-all: FIRST_SEED := 200
test-all: SECONDS := 300
test-all: EXECUTIONS := 2500
test-all: MINUTES := 2
test-all: ROUNDS := 1
test-all: CHAOS := tests/chaos -k 'hole or refuse or asked or database'
test-all: test-lowest audit test-slow test-client test-console test-examples test-sdk test-package test-site test-livekit \
	test-network test-recording chaos conformance simulate fuzz soak
.NOTPARALLEL: test-all

check: $(VENV)/.dev
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy $(CODE)
	$(BIN)/lint-imports --no-logo
	@$(MAKE) --no-print-directory site

format: $(VENV)/.dev
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

bench: $(VENV)/.dev
	@$(BIN)/python -m bench $(ARGS)

simulate: $(VENV)/.dev
	@$(BIN)/python -m tests.manager.simulation --first $(FIRST_SEED) --seeds $(SEEDS) $(ARGS)

# Fuzzes the parsers of what strangers send, for SECONDS altogether.
fuzz: $(VENV)/.fuzz
	@$(BIN)/python -m tests.fuzz --seconds $(SECONDS) $(if $(EXECUTIONS),--seed 1 --executions $(EXECUTIONS)) $(ARGS)

# The whole conformance suite, with media and against broken servers; then schemathesis against the AWS API, the watch API
# and the testing API, with EXAMPLES random inputs for each operation.
conformance: $(VENV)/.dev
	$(BIN)/python -m pytest tests/conformance -m conformance
	@$(BIN)/python -m tests.e2e.aws.conformance --examples $(EXAMPLES) $(ARGS)
	@$(BIN)/python -m tests.e2e.watch.conformance --examples $(EXAMPLES) $(ARGS)
	@$(BIN)/python -m tests.e2e.testing.conformance --examples $(EXAMPLES) $(ARGS)

# ROUNDS rounds of each kind in which a node that owns accounts, or its database, is killed, stopped or cut off.
# `make test-all` has one round of each kind that `make test` does not have.
chaos: $(VENV)/.dev
	ROUNDS=$(ROUNDS) $(BIN)/python -m pytest $(CHAOS) -m chaos --capture no --numprocesses 0 $(ARGS)

# Clients and attackers against a real server, for MINUTES.
soak: $(VENV)/.dev
	@$(BIN)/python -m tests.soak --minutes $(MINUTES) $(ARGS)

# Pins the newest versions of all dependencies with their hashes, for all supported versions of Python and all platforms.
# The server's are those of a node of several, so that the image can be one.
COMPILE = $(BIN)/uv pip compile pyproject.toml --no-config --quiet --upgrade --universal --python-version 3.11 \
	--generate-hashes --no-annotate --custom-compile-command "make constraints"

constraints: $(BIN)/python
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9'
	@$(COMPILE) --extra demo --extra dev --output-file constraints/development.txt
	@$(COMPILE) --extra livekit --extra postgres --constraint constraints/development.txt --output-file constraints/server.txt

# The sdist and the wheel of what git tracks, into dist/.
package: $(VENV)/.dev
	@$(BIN)/python -m tests.e2e.package.package_build dist

# The third-party modules of the console, as one file. Needs Node.js and npm.
console-vendor:
	@contrib/console-vendor/bundle.sh

# The pictures of the documentation, from a real session in Chromium.
screenshots: $(VENV)/.dev
	$(BIN)/python -m tests.e2e.console.screenshots docs/images

# The pictures of the layouts of compositions, from the layouts themselves.
layout-pictures: $(VENV)/.dev
	$(BIN)/python -m tests.media.composition.layout.layout_pictures docs/images

# The documentation site, in site/. Warnings are errors: broken links and anchors, pages that the navigation lacks.
site: $(VENV)/.dev
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build $(ARGS)

# The same on http://127.0.0.1:8000, built again when a page changes.
site-serve: $(VENV)/.dev
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs serve $(ARGS)

clean:
	rm -rf dist site $(VENV) $(LOWEST) .mypy_cache .ruff_cache .pytest_cache .hypothesis .bench .fuzz .web-sdk

# The first installation downloads about 90 MB of packages for `run`, 1 MB more for `demo`, and 105 MB more for `test`.
$(VENV)/.run: $(BIN)/python pyproject.toml
	@echo "Installing Stagebook into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.demo: $(BIN)/python pyproject.toml
	@echo "Installing Stagebook and its demo into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[demo]'
	@touch $@ $(VENV)/.run

$(VENV)/.dev: $(BIN)/python pyproject.toml constraints/development.txt
	@echo "Installing Stagebook and its test tools into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement constraints/development.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@ $(VENV)/.run $(VENV)/.demo

$(VENV)/.fuzz: $(VENV)/.dev
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --editable '.[fuzz]'
	@touch $@

# A symbolic link to the system's interpreter: when that is updated, the packages are installed again.
$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Stagebook needs Python 3.11 or newer; \
	name one with: make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	echo "Stagebook needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version)" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	echo "Python's venv module is missing; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
