# The two commands of the README, `make demo` and `make test`, and what they need.

# The first Python on the path that is supported and can make virtual environments.
SUPPORTED := import ensurepip, sys, venv; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))
PYTHON ?= $(shell for name in python3.11 python3 python3.12 python3.10; do \
	$$name -c '$(SUPPORTED)' >/dev/null 2>&1 && command -v $$name && break; done)
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
# PyTorch's own index: the wheels without CUDA libraries. Where it does not answer, wheels that pip is configured to
# find on this machine count as well.
CPU_WHEELS := -qq --no-deps --retries 0 --timeout 15 --index-url https://download.pytorch.org/whl/cpu
SOURCES := nemo nemo_streaming_ssl examples benchmarks tests setup.py

.PHONY: help demo test lint format benchmark clean

help:
	@echo "make demo    set up $(VENV), make speech, pretrain a tiny model on it"
	@echo "make test    set up $(VENV), check style, run the tests, check that they go red on plain NeMo"
	@echo "make lint    check style; make format repairs it"
	@echo "make benchmark    time every part against NeMo, on both of its mallocs: half an hour on two cores"
	@echo "make clean   remove $(VENV) and the demo"

# The stamp comes last: an installation that was interrupted is taken up again.
$(VENV)/.installed: requirements.txt constraints.txt setup.py
	@$(if $(PYTHON),,$(error Found no Python 3.10, 3.11 or 3.12 with the venv module; name one: make PYTHON=/path/to/python3))
	@echo "Setting up $(VENV) with $(PYTHON): about 200 packages, some minutes; two of them are compiled"
	@"$(PYTHON)" -m venv $(VENV)
	@if nvidia-smi >/dev/null 2>&1; then echo "This machine has a GPU: torch with CUDA"; \
	else $(PIP) $(CPU_WHEELS) torch || echo "No CPU wheel of torch at hand: PyPI's, with its CUDA libraries (gigabytes)"; fi
	@$(PIP) --requirement requirements.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(VENV)/.installed
	@$(PY) examples/asr/speech_pretraining/run_demo.py

test: lint
	$(PY) -m pytest tests
	$(PY) tests/regressions_go_red.py

lint: $(VENV)/.installed
	$(PY) -m ruff check --quiet $(SOURCES)
	$(PY) -m black --check --quiet $(SOURCES)
	$(PY) -m isort --check-only --quiet $(SOURCES)

format: $(VENV)/.installed
	$(PY) -m black --quiet $(SOURCES)
	$(PY) -m isort --quiet $(SOURCES)

benchmark: $(VENV)/.installed
	$(PY) -m benchmarks

clean:
	rm -rf $(VENV) demo
