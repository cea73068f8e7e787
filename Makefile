# `make test` and `make demo` set up what they need in .venv, without root.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
CHECKOV := .venv-checkov
SCEPTRE := .venv-sceptre
SAM := .venv-sam

.PHONY: help setup test test-engine lint types policy demo bench golden reference diagrams clean

help:  ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(READY)  ## Make .venv with the project and everything its tests need

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable ".[containers,pictures,sandbox,ssh]" --group dev
	@touch $(READY)

test: $(READY)  ## Run all tests that this machine can run
	$(BIN)/python -m pytest -n auto $(PYTEST_ARGS)

test-engine: $(READY)  ## Run the tests that need a Docker engine, with one of their own (as root)
	EXASOL_CI_SETUP_REQUIRE=engine,registry .ci/engine $(BIN)/python -m pytest tests/engine $(PYTEST_ARGS)

lint: $(READY)  ## Check style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)  ## Check types
	$(BIN)/mypy

# In an environment of its own: it wants other versions of boto3 than the sandbox does.
$(CHECKOV)/.ready: Makefile
	$(PYTHON) -m venv $(CHECKOV)
	$(CHECKOV)/bin/python -m pip install --quiet "checkov==3.3.30"
	@touch $@

policy: $(CHECKOV)/.ready  ## Check the templates against checkov's policies; .ci/checkov.yaml explains the exceptions
	$(CHECKOV)/bin/checkov --config-file .ci/checkov.yaml

demo: $(READY)  ## Show the main job on this machine, without an AWS account
	PATH="$(CURDIR)/$(BIN):$$PATH" sh docs/demo.sh

# In an environment of its own, as checkov is: it wants old versions of jsonschema, networkx and others.
$(SCEPTRE)/.ready: Makefile
	$(PYTHON) -m venv $(SCEPTRE)
	$(SCEPTRE)/bin/python -m pip install --quiet "sceptre==4.7.0"
	@touch $@

# In an environment of its own too: it pins what it is made of.
$(SAM)/.ready: Makefile
	$(PYTHON) -m venv $(SAM)
	$(SAM)/bin/python -m pip install --quiet "aws-sam-cli==1.170.0"
	@touch $@

bench: $(READY) $(SCEPTRE)/.ready $(SAM)/.ready  ## Measure against other tools, side by side, and simulate many stacks; write docs/benchmarks.md
	$(BIN)/python -m benchmarks $(BENCH_ARGS)
	$(BIN)/python -m benchmarks.simulation

golden: $(READY)  ## Rewrite the golden files; read the diff before you commit it
	$(BIN)/python -m pytest -q --update-golden

reference: $(READY)  ## Write docs/reference.md and docs/cli.md again, from the models and the commands
	$(BIN)/python -m pytest -q tests/reference --update-golden

diagrams: $(READY)  ## Draw release-flow.png and docs/diagrams/*.png again
	$(BIN)/python docs/diagrams/draw.py

clean:  ## Remove what the other targets made
	rm -rf $(VENV) $(CHECKOV) $(SCEPTRE) $(SAM) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
