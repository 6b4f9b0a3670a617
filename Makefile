# Two commands matter: `make demo` and `make test`. Both set everything up first.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
S3 := $(abspath $(VENV)-s3)
S3_READY := $(S3)/.ready

.PHONY: demo test test-with-cluster test-without-cluster lint setup s3 clean

setup: $(READY)

# Constraints pin the tested set; pyproject.toml bounds every dependency it names.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[all,dev]'
	touch $(READY)

demo: $(READY)
	$(BIN)/automl-gpt-ray demo

# A test that kills nodes, drivers and servers may meet a machine that stands still at the wrong moment: what fails is
# run again, twice at most, and named in the summary (R) where that passed. Tests with a cluster run one after the other,
# for they share it; the others beside them, for a cluster is mostly waited for.
PYTEST := AUTOML_GPT_RAY_S3_PYTHON=$(S3)/bin/python $(BIN)/python -m pytest --reruns 2 -rfERs -p no:cacheprovider

test: lint
	-$(MAKE) s3
	$(MAKE) --jobs 2 --keep-going test-with-cluster test-without-cluster

test-with-cluster: $(READY)
	$(PYTEST) -m ray

test-without-cluster: $(READY)
	$(PYTEST) -m "not ray"

s3: $(S3_READY)

# The S3 server of the tests, apart: its libraries ask for older ones than ours. Its tests are skipped where it cannot be
# installed, and say so.
$(S3_READY): tests/s3_server.txt
	$(PYTHON) -m venv $(S3)
	$(S3)/bin/python -m pip install --quiet --requirement tests/s3_server.txt
	touch $(S3_READY)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) $(S3) .mypy_cache .ruff_cache .pytest_cache
