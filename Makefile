# The commands of the README, `make demo` and `make test`, the other NeMo releases, and what they need.

# The first Python on the path that is supported and can make virtual environments.
SUPPORTED := import ensurepip, sys, venv; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))
PYTHON ?= $(shell for name in python3.11 python3 python3.12 python3.10; do \
	$$name -c '$(SUPPORTED)' >/dev/null 2>&1 && command -v $$name && break; done)
# The default release has `.venv`, each other one of constraints/ has `.venv-RELEASE`.
RELEASE := 2.5.3
RELEASES := $(patsubst constraints/%.txt,%,$(wildcard constraints/*.txt))
VENV := .venv
PY := $(VENV)/bin/python
# Bytecode is left to the first import: compiling all of it takes longer than the installation.
PIP_INSTALL := -m pip --disable-pip-version-check install --quiet --no-compile
# PyTorch's own index: the wheels without CUDA libraries. Where it does not answer, wheels that pip is configured to
# find on this machine count as well.
CPU_WHEELS := -qq --no-deps --retries 0 --timeout 15 --index-url https://download.pytorch.org/whl/cpu
# With it each process compiles NeMo and its libraries anew: twenty seconds instead of ten.
unexport PYTHONDONTWRITEBYTECODE
SOURCES := nemo nemo_streaming_ssl examples benchmarks tests docs/conf.py docs/_site setup.py

.PHONY: help demo test test-all lint format docs site figures benchmark replaced release clean python

help:
	@echo "make demo    set up $(VENV), make speech, pretrain a tiny model on it"
	@echo "make test    set up $(VENV), check style, build the docs, run the tests but for long runs, check that they"
	@echo "             go red on plain NeMo"
	@echo "make test-all    all of that and the long runs on $(RELEASES), NeMo's own tests,"
	@echo "             a fork, and the demo; one release: make test-all RELEASES=3.0.0"
	@echo "make lint    check style and types; make format repairs the style"
	@echo "make docs    build the documentation site into build/docs/index.html"
	@echo "make figures     draw the pictures of README and docs; measures nothing"
	@echo "make benchmark    time every part against NeMo, with both malloc settings: half an hour on two cores"
	@echo "make replaced    make the table of NeMo's methods that the patches replace, from the wheels of all releases"
	@echo "make release    build sdist and wheel into build/dist and check them; see CONTRIBUTING.md"
	@echo "make clean   remove $(VENV), $(VENV)-*, build and the demo"

python:
	@$(if $(PYTHON),,$(error Found no Python 3.10, 3.11 or 3.12 with the venv module; name one: make PYTHON=/path/to/python3))

# install FOLDER,RELEASE. The stamp comes last: an installation that was interrupted is taken up again.
define install
	@echo "Setting up $(1) for NeMo $(2) with $(PYTHON): about 200 packages, some minutes; some of them are compiled"
	@"$(PYTHON)" -m venv $(1)
	@if nvidia-smi >/dev/null 2>&1; then echo "This machine has a GPU: torch with CUDA"; \
	else $(1)/bin/python $(PIP_INSTALL) --constraint constraints/$(2).txt $(CPU_WHEELS) torch \
	|| echo "No CPU wheel of torch at hand: PyPI's, with its CUDA libraries (gigabytes)"; fi
	@$(1)/bin/python $(PIP_INSTALL) --constraint constraints/$(2).txt --requirement requirements.txt
	@$(1)/bin/python $(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@touch $(1)/.installed
endef

$(VENV)/.installed: requirements.txt constraints/$(RELEASE).txt setup.py | python
	$(call install,$(VENV),$(RELEASE))

$(VENV)-%/.installed: constraints/%.txt requirements.txt setup.py | python
	$(call install,$(VENV)-$*,$*)

demo: $(VENV)/.installed
	@$(PY) examples/asr/speech_pretraining/demo/run_demo.py

test: python
	@"$(PYTHON)" tests/matrix.py --releases $(RELEASE) --steps install lint docs tests regressions --record

# What `make test` has done on the same files is not done again.
test-all: python
	@"$(PYTHON)" tests/matrix.py --releases $(RELEASES)

# Of each release's wheel only the sources are read.
replaced: $(VENV)/.installed
	@for release in $(RELEASES); do $(PY) -m pip --disable-pip-version-check download --quiet --no-deps \
		--dest build/wheels nemo_toolkit==$$release || exit 1; done
	@$(PY) -m nemo_streaming_ssl.replaced_list $(patsubst %,build/wheels/nemo_toolkit-%-*.whl,$(RELEASES))

lint: $(VENV)/.installed
	$(PY) -m ruff check --quiet $(SOURCES)
	$(PY) -m black --check --quiet $(SOURCES)
	$(PY) -m isort --check-only --quiet $(SOURCES)
	$(PY) -m mypy --no-error-summary

format: $(VENV)/.installed
	$(PY) -m black --quiet $(SOURCES)
	$(PY) -m isort --quiet $(SOURCES)

docs: $(VENV)/.installed
	@if $(PY) -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then $(MAKE) --no-print-directory site; \
	else echo "The site is not built: its tools need Python 3.11 or 3.12"; fi

# Built anew each time: a second run must not pass because it is silent about the first one's warnings.
site: $(VENV)/.docs
	@rm -rf build/docs build/doctrees
	@$(PY) -m sphinx --quiet --fail-on-warning --keep-going --nitpicky --doctree-dir build/doctrees docs build/docs
	@echo "The site: build/docs/index.html"

$(VENV)/.docs: docs/requirements.txt $(VENV)/.installed
	@$(PY) $(PIP_INSTALL) --constraint constraints/$(RELEASE).txt --requirement docs/requirements.txt
	@touch $@

figures: $(VENV)/.installed
	$(PY) -m benchmarks.figures

benchmark: $(VENV)/.installed
	$(PY) -m benchmarks.speed

# What builds and checks a release has an environment of its own: a release needs no NeMo.
RELEASE_TOOLS := build==1.6.1 twine==7.0.0
release: python
	@rm -rf build/dist build/release nemo_streaming_ssl.egg-info
	@"$(PYTHON)" -m venv build/release
	@build/release/bin/python $(PIP_INSTALL) $(RELEASE_TOOLS)
	build/release/bin/pyproject-build --outdir build/dist .
	build/release/bin/twine check --strict build/dist/*
	@rm -rf nemo_streaming_ssl.egg-info

clean:
	rm -rf $(VENV) $(VENV)-* build demo
