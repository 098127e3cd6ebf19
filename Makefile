# make demo and make test do all the set-up themselves; see README.md.
PYTHON := $(firstword $(foreach it,python3.11 python3,$(shell command -v $(it))))
BIN := .venv/bin
SYSTEM_PACKAGES := openssh-server openssh-client rsync iproute2 python3-venv

.PHONY: help venv demo test test-full lint bench system
help:
	@echo "make demo       a network, two hospitals and a data scientist on this machine"
	@echo "make test       lint and all tests but the long ones"
	@echo "make test-full  the long ones too"
	@echo "make bench      the benchmarks, one JSON line each"

venv: .venv/ready .venv-base/ready

# Where we are root on Debian we install what ray up and its test need; elsewhere they say it.
system:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  missing=$$(for it in $(SYSTEM_PACKAGES); do \
	    dpkg-query -W -f='$${Status}' $$it 2>/dev/null | grep -q 'ok installed' || echo $$it; done); \
	  if [ -n "$$missing" ]; then \
	    (apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
	      apt-get install -y -qq --no-install-recommends $$missing) >/dev/null; fi; fi

.venv/ready: pyproject.toml constraints.txt | system
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[node,dev]'
	touch $@

# What a data scientist installs: the demo shows that it is enough.
.venv-base/ready: pyproject.toml constraints.txt | system
	$(PYTHON) -m venv .venv-base
	.venv-base/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

demo: venv
	$(BIN)/python examples/demo.py

test: venv lint
	$(BIN)/python -m pytest -m 'not slow'

test-full: venv lint
	HYPOTHESIS_PROFILE=nightly $(BIN)/python -m pytest --timeout=1800

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: venv
	$(BIN)/python -m benchmarks.pointer --json
	$(BIN)/python -m benchmarks.runtime --json
	$(BIN)/python -m benchmarks.actors --json
	$(BIN)/python -m benchmarks.dht --json
	$(BIN)/python -m benchmarks.search --json
