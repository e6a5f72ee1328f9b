# Each target first installs what it needs into a virtual environment, and again whenever pyproject.toml has changed.
# The tests and checks use the versions that constraints/development.txt pins.
# PYTHON selects the interpreter; ARGS are the arguments of the command: make run ARGS="--listen 127.0.0.1:9000"

PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)
VENV := .venv
BIN := $(VENV)/bin
ARGS :=
SEEDS := 1000
SECONDS := 600
MINUTES := 30
EXAMPLES := 30
LOWEST := $(VENV)-lowest

.PHONY: run demo test test-client test-console test-sdk test-lowest test-all audit constraints check format bench simulate fuzz soak conformance console-vendor screenshots clean

run: $(VENV)/.run
	@$(BIN)/stagebook serve $(ARGS)

demo: $(VENV)/.demo
	@$(BIN)/stagebook demo $(ARGS)

test: $(VENV)/.dev
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile $(ARGS)

# The open client in Chromium and Firefox, with failures of the server and the network.
test-client: $(VENV)/.dev
	$(BIN)/python -m pytest tests/e2e/client -m "client or not client" $(ARGS)

# The console on every page, in Chromium and Firefox.
test-console: $(VENV)/.dev
	$(BIN)/python -m pytest tests/e2e/console -m "console or not console" $(ARGS)

# All versions of Amazon's Web Broadcast SDK that are tested, in Chromium.
test-sdk: $(VENV)/.dev
	$(BIN)/python -m pytest -m sdk --numprocesses 2 tests/e2e/sdk $(ARGS)

# The tests with the lower bounds of the dependencies, in an environment of their own.
test-lowest: $(BIN)/python pyproject.toml
	@$(BIN)/python -m venv $(LOWEST)
	@$(BIN)/python -c 'import tomllib; \
	print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], sep="\n")' \
	| sed 's/>=/==/' > $(LOWEST)/constraints.txt
	@$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check \
	--constraint $(LOWEST)/constraints.txt --editable '.[dev]'
	$(LOWEST)/bin/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile $(ARGS)

# Known vulnerabilities of the pinned and of the lowest versions. Succeeds without a result where no service can be reached.
audit: $(VENV)/.dev
	@$(BIN)/python -m tests.dependency_audit constraints/development.txt $(wildcard $(LOWEST)/constraints.txt)

# What takes longer than `make test`.
test-all: test-lowest audit
	@$(MAKE) test-client
	@$(MAKE) test-console
	@$(MAKE) test-sdk
	@$(MAKE) conformance EXAMPLES=30
	@$(MAKE) simulate SEEDS=1000
	@$(MAKE) fuzz SECONDS=300 ARGS="--seed 1 --executions 10000"
	@$(MAKE) soak MINUTES=3

check: $(VENV)/.dev
	$(BIN)/ruff format --check $(wildcard src tests bench)
	$(BIN)/ruff check $(wildcard src tests bench)
	$(BIN)/mypy $(wildcard src tests bench)
	$(BIN)/lint-imports --no-logo

format: $(VENV)/.dev
	$(BIN)/ruff format $(wildcard src tests bench)
	$(BIN)/ruff check --fix $(wildcard src tests bench)

bench: $(VENV)/.dev
	@$(BIN)/python -m bench $(ARGS)

simulate: $(VENV)/.dev
	@$(BIN)/python -m tests.manager.simulation --seeds $(SEEDS) $(ARGS)

# Fuzzes the parsers of what strangers send, for SECONDS altogether.
fuzz: $(VENV)/.fuzz
	@$(BIN)/python -m tests.fuzz --seconds $(SECONDS) $(ARGS)

# schemathesis against the AWS API and the watch API, with EXAMPLES random inputs for each operation.
conformance: $(VENV)/.dev
	@$(BIN)/python -m tests.e2e.aws.conformance --examples $(EXAMPLES) $(ARGS)
	@$(BIN)/python -m tests.e2e.watch.conformance --examples $(EXAMPLES) $(ARGS)

# Clients and attackers against a real server, for MINUTES.
soak: $(VENV)/.dev
	@$(BIN)/python -m tests.soak --minutes $(MINUTES) $(ARGS)

# Pins the newest versions of all dependencies with their hashes, for all supported versions of Python and all platforms.
COMPILE = $(BIN)/uv pip compile pyproject.toml --no-config --quiet --upgrade --universal --python-version 3.11 \
	--generate-hashes --no-annotate --custom-compile-command "make constraints"

constraints: $(BIN)/python
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9'
	@$(COMPILE) --extra demo --extra dev --output-file constraints/development.txt
	@$(COMPILE) --constraint constraints/development.txt --output-file constraints/server.txt

# The third-party modules of the console, as one file. Needs Node.js and npm.
console-vendor:
	@contrib/console-vendor/bundle.sh

# The pictures of the documentation, from a real session in Chromium.
screenshots: $(VENV)/.dev
	$(BIN)/python -m tests.e2e.console.screenshots docs/images

clean:
	rm -rf $(VENV) $(LOWEST) .mypy_cache .ruff_cache .pytest_cache .hypothesis .bench .fuzz .web-sdk

# The first installation downloads about 65 MB of packages for `run`, 1 MB more for `demo`, and 105 MB more for `test`.
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
