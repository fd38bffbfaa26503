# The two commands of the README, and the suite under the oldest supported versions. They need Python 3.11+, pip and make.
PYTHON ?= python3
VENV := .venv
# Processes that share the suite, of one thread each.
WORKERS ?= 2
VGBENCH := $(VENV)/bin/vgbench

.PHONY: demo test test-oldest

demo: $(VENV)/.installed
	VGBENCH=$(VGBENCH) sh scripts/demo.sh

test: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(VENV)/bin/pytest -n $(WORKERS)

test-oldest:
	scripts/oldest_versions.sh $(VENV)-oldest

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@ $(VENV)/.installed
