# Every target does all the set-up it needs, in this folder alone: `.venv`, with the package and its front end built.
#   make demo   the main job, headless: train MNIST from the tutorial notebook, register, export
#   make lab    JupyterLab with the tutorials
#   make test   every test            make check   linters, types, layers, front end
#   make gpu    the tests that need an NVIDIA GPU
#   make bench  the table of speed    make build   the package, installed in .venv
#   make clean  back to a fresh clone

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := demo
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory
.PHONY: demo test gpu check bench lab clean build node browser containers compiler

STARTED := $(shell date +%s)
VENV := .venv
BIN := $(VENV)/bin
SOURCES := pyproject.toml hatch_build.py install.json jupyter_mltrain/_version.py jupyter_mltrain/widgets/card.css \
	$(shell find js -path js/node_modules -prune -o -path js/lib -prune -o -type f -print)

demo: build
	@MLTRAIN_DEMO_STARTED=$(STARTED) $(BIN)/python notebooks/demo.py

lab: build
	@mkdir -p .demo && cp -n notebooks/*.ipynb .demo/ || true
	@cd .demo && ../$(BIN)/jupyter lab $$([ "$$(id -u)" != 0 ] || echo --allow-root)

test: build browser containers compiler
	$(BIN)/python -m pytest $(ARGS)

# Elsewhere these are left out of `make test`; here a machine without a device fails.
gpu: build
	JUPYTER_MLTRAIN_TEST_GPU=1 $(BIN)/python -m pytest tests/gpu $(ARGS)

check: build node
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python hatch_build.py run wire -- --check
	$(BIN)/python hatch_build.py run check

bench: build
	@$(BIN)/python -m benchmarks $(ARGS)

build: $(VENV)/installed

# Installing builds the front end where a source of it changed (hatch_build.py); the copy that Jupyter finds is then new too.
$(VENV)/installed: $(SOURCES) | $(BIN)/uv
	@echo "== installing the package with its front end"
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --editable . --group dev
	@touch $@

$(BIN)/uv:
	@python=$$(for name in $(PYTHON) python3.13 python3.12 python3.11 python3.14 python3; do \
	  command -v $$name >/dev/null && $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' && echo $$name && break; \
	done) || { echo "Python 3.11 or newer is missing: install it (Debian: apt-get install python3 python3-venv)." >&2; exit 1; }; \
	echo "== making $(VENV) with $$($$python --version)"; \
	$$python -m venv $(VENV) || { echo "The venv module is missing: install it (Debian: apt-get install python3-venv)." >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

node: js/node_modules/.package-lock.json

js/node_modules/.package-lock.json: js/package-lock.json | $(VENV)/installed
	$(BIN)/python hatch_build.py install
	@touch $@

# The browser tests drive Debian's Chromium; nothing is downloaded by Playwright.
browser:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "== installing Chromium for the browser tests"; \
	    apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends chromium fonts-dejavu-core; \
	  else \
	    echo "Chromium is missing for the browser tests: as root, 'apt-get update && apt-get install chromium'." >&2; exit 1; \
	  fi; }

# A driver of GPUs that are not there is a C file of the tests; Horovod is compiled for those of several processes.
compiler:
	@command -v cmake >/dev/null && command -v g++ >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "== installing the compilers that the tests need"; \
	    apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends gcc g++ cmake make libc6-dev; \
	  else \
	    echo "Compilers are missing for the tests: as root, 'apt-get update && apt-get install gcc g++ cmake make libc6-dev'." >&2; exit 1; \
	  fi; }

# The tests with containers start an engine of their own where none answers, with an image of Debian packages. Who is not
# root needs a running engine; the tests say so then.
containers:
	@needed="docker.io docker-registry debootstrap iproute2 iptables openssh-client openssh-server openssl podman catatonit"; \
	export PATH="$$PATH:/usr/sbin:/sbin"; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  for program in docker dockerd docker-registry debootstrap ip iptables ssh sshd openssl podman catatonit; do \
	    command -v $$program >/dev/null || { \
	      echo "== installing what the tests with containers need"; \
	      apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $$needed; \
	      command -v docker >/dev/null || apt-get install -qy --no-install-recommends docker-cli; \
	      break; }; \
	  done; \
	fi

clean:
	rm -rf $(VENV) js/node_modules js/lib jupyter_mltrain/labextension jupyter_mltrain/export/static jupyter_mltrain/widgets/static .demo .artifacts \
	  dist build .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
