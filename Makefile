# `make test` and `make demo` install their requirements in environments of this folder, without root.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO := .venv-demo
CHECKOV := .venv-checkov
SCEPTRE := .venv-sceptre
SAM := .venv-sam
MOTO := .venv-moto

.PHONY: help setup test test-engine test-contract test-moto test-aws test-aws-clean lint types policy demo bench golden reference diagrams recording clean

help:  ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(READY)  ## Create .venv with the project and the requirements of its tests

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable ".[aws,containers,keyring,sandbox,ssh]" --group dev
	@touch $(READY)

# Without compiled modules, each worker and each process that a test starts would compile them again. With `worksteal`, neighboring tests run
# in the same worker, and no worker waits at the end.
test: $(READY)  ## Run all tests that this machine can run
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n auto --dist worksteal $(PYTEST_ARGS)

test-engine: $(READY)  ## Run the tests that need a Docker engine, with a separate one (as root)
	EXASOL_CI_SETUP_REQUIRE=engine,registry .ci/engine $(BIN)/python -m pytest tests/engine $(PYTEST_ARGS)

test-contract: $(READY)  ## Run the contract tests against a sandbox with access control and the policy that they need
	$(BIN)/python -m tests.contract sandbox

# In a separate environment: moto and the sandbox require different versions of botocore's helpers.
$(MOTO)/.ready: Makefile
	$(PYTHON) -m venv $(MOTO)
	$(MOTO)/bin/python -m pip install --quiet "moto[server]==5.2.5"
	@touch $@

test-moto: $(READY) $(MOTO)/.ready  ## Run the contract tests against a moto server; tests/contract/expected-moto.yaml has what it lacks
	$(BIN)/python -m tests.contract moto

AWS_ARGS = $(if $(PROFILE),--profile $(PROFILE)) $(if $(REGION),--region $(REGION)) $(if $(ACCOUNT),--account $(ACCOUNT)) $(if $(YES),--yes) $(if $(POLICIES),--into $(POLICIES))

test-aws: $(READY)  ## Run the contract tests against AWS: PROFILE=name REGION=eu-central-1 ACCOUNT=111122223333; DRY_RUN=1 only prints plan, cost and policy; POLICIES=folder writes a file for each policy
	$(BIN)/python -m tests.contract aws $(AWS_ARGS) $(if $(DRY_RUN),--dry-run)

test-aws-clean: $(READY)  ## Delete what an interrupted `make test-aws` left, with the same variables
	$(BIN)/python -m tests.contract clean $(AWS_ARGS)

lint: $(READY)  ## Check style, format, complexity and the directions of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/complexipy --quiet

types: $(READY)  ## Check types
	$(BIN)/mypy

# In a separate environment: checkov and the sandbox require different versions of boto3.
$(CHECKOV)/.ready: Makefile
	$(PYTHON) -m venv $(CHECKOV)
	$(CHECKOV)/bin/python -m pip install --quiet "checkov==3.3.30"
	@touch $@

policy: $(CHECKOV)/.ready  ## Check the templates against checkov's policies; .ci/checkov.yaml explains the skipped ones
	$(CHECKOV)/bin/checkov --config-file .ci/checkov.yaml

# In a separate environment: the demonstration needs none of the development tools.
# The resolver of pip 23, which comes with Python 3.11, takes twice the processor time. The demonstration compiles only the modules that it uses.
$(DEMO)/.ready: pyproject.toml
	$(PYTHON) -m venv $(DEMO)
	$(DEMO)/bin/python -m pip install --quiet --no-compile --upgrade "pip>=25.1"
	$(DEMO)/bin/python -m pip install --quiet --no-compile --editable ".[sandbox]"
	@touch $@

demo: $(DEMO)/.ready  ## Demonstrate a deployment in the sandbox, without an AWS account
	PYTHONDONTWRITEBYTECODE= PATH="$(CURDIR)/$(DEMO)/bin:$$PATH" sh docs/demo.sh

# In a separate environment: Sceptre requires old versions of jsonschema, networkx and others.
$(SCEPTRE)/.ready: Makefile
	$(PYTHON) -m venv $(SCEPTRE)
	$(SCEPTRE)/bin/python -m pip install --quiet "sceptre==4.7.0"
	@touch $@

# In a separate environment: SAM pins its dependencies.
$(SAM)/.ready: Makefile
	$(PYTHON) -m venv $(SAM)
	$(SAM)/bin/python -m pip install --quiet "aws-sam-cli==1.170.0"
	@touch $@

bench: $(READY) $(SCEPTRE)/.ready $(SAM)/.ready  ## Compare with other tools, simulate many stacks, and write docs/benchmarks.md
	$(BIN)/python -m benchmarks $(BENCH_ARGS)
	$(BIN)/python -m benchmarks.simulation

golden: $(READY)  ## Update the golden files; read the diff before you commit it
	$(BIN)/python -m pytest -q --update-golden

reference: $(READY)  ## Generate docs/reference.md and docs/cli.md from the models and the commands
	$(BIN)/python -m pytest -q tests/reference --update-golden

diagrams: $(READY)  ## Generate release-flow.png and docs/diagrams/*.png with Graphviz
	$(BIN)/python docs/diagrams/draw.py

recording: $(READY)  ## Record the picture of the README in the sandbox, and draw it
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python docs/recording/record.py
	$(BIN)/python docs/recording/draw.py

clean:  ## Delete the files that the other targets created
	rm -rf $(VENV) $(DEMO) $(CHECKOV) $(SCEPTRE) $(SAM) $(MOTO) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
