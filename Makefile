# make help lists the targets. Each sets up what it needs, on a machine with Python >= 3.11, make and git.

PYTHON ?= python3
CORES ?= 2
GPUS ?= 1
BIN := .venv/bin
SNAKEMAKE := $(BIN)/snakemake --cores $(CORES) --resources gpu=$(GPUS)
SETUP := .venv/.set-up
CLUSTER := .venv-cluster
BROWSER := .venv/.browser
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help setup demo theory test fuzz cluster slurm remotes browser reproduce report ui docs bench drill check audit format readme lock

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(SETUP)  ## the environment in .venv, from requirements.lock

# uv only makes this faster than pip; both check the hashes of the lock.
$(SETUP): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("divergan needs Python >= 3.11: make PYTHON=python3.12 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --compile-bytecode --require-hashes --requirement requirements.lock
	$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	touch $(SETUP)

demo: $(SETUP)  ## seven GANs on real digits in minutes -> reports/demo/report.pdf
	$(SNAKEMAKE) --config params=params/demo.yaml
	@echo "The report: reports/demo/report.pdf. The runs: make ui"

theory: $(SETUP)  ## what GAN losses minimise, on known densities: minutes -> reports/theory/report.pdf
	$(SNAKEMAKE) --config params=params/theory.yaml

reproduce: $(SETUP)  ## the published study, params.yaml (hours; a GPU is used when there is one)
	$(SNAKEMAKE)

report: $(SETUP)  ## the PDF of the published study again
	$(SNAKEMAKE) report

ui: $(SETUP)  ## the MLflow UI at http://127.0.0.1:5000, this machine only
	$(BIN)/divergan ui

# One thread a process: the threads of several on few cores wait for each other. Not reordered: xdist would start the groups
# with few tests last, and these are the long ones.
test: $(SETUP)  ## all tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(CORES) --dist loadgroup --no-loadscope-reorder --durations 20

fuzz: $(SETUP)  ## the property tests with 1000 made-up files each: minutes
	OMP_NUM_THREADS=1 FUZZ=thorough $(BIN)/python -m pytest tests/test_fuzz.py

docs: .venv/.docs-set-up  ## the documentation as a site -> docs/_build/index.html, read without a network
	OMP_NUM_THREADS=1 $(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going --nitpicky -b html docs docs/_build
	@echo "The documentation: docs/_build/index.html"

# requirements.lock's versions and a few packages more: nothing in .venv changes.
.venv/.docs-set-up: requirements-docs.lock $(SETUP)
	$(BIN)/uv pip install --quiet --compile-bytecode --require-hashes --requirement requirements-docs.lock
	touch $@

cluster: $(CLUSTER)/.set-up  ## .venv-cluster: with Slurm's plugin, S3 and PostgreSQL (docs/cluster.md)

$(CLUSTER)/.set-up: requirements-cluster.lock $(SETUP)
	test -x $(CLUSTER)/bin/python || $(PYTHON) -m venv $(CLUSTER)
	$(BIN)/uv pip install --quiet --python $(CLUSTER) --compile-bytecode --require-hashes --requirement requirements-cluster.lock
	$(BIN)/uv pip install --quiet --python $(CLUSTER) --no-deps --no-build-isolation --editable .
	touch $@

slurm: cluster  ## the smoke study on a real Slurm of one node, requeue and a dying node (root, slurm-wlm, munge)
	OMP_NUM_THREADS=1 $(CLUSTER)/bin/python -m pytest -s -m slurm tests/slurm

remotes: cluster  ## DVC to a folder and to S3, MLflow's server on PostgreSQL, all on this machine (postgresql)
	OMP_NUM_THREADS=1 $(CLUSTER)/bin/python -m pytest -s -m remotes tests/remotes

browser: $(BROWSER)  ## the page in Chromium at two widths, light and dark, and its accessibility (chromium)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m browser tests/browser

# The same versions as in requirements.lock and two packages more: no environment of its own.
$(BROWSER): requirements-browser.lock $(SETUP)
	$(BIN)/uv pip install --quiet --compile-bytecode --require-hashes --requirement requirements-browser.lock
	touch $@

check: $(SETUP)  ## formatter, linters, type checker
	$(BIN)/ruff format --check src tests benchmarks docs
	$(BIN)/ruff check src tests benchmarks docs
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

audit: $(SETUP)  ## known vulnerabilities in requirements.lock (needs the network)
	$(BIN)/python .ci/audit.py

format: $(SETUP)  ## put code into the form that check wants
	$(BIN)/ruff check --fix src tests benchmarks docs
	$(BIN)/ruff format src tests benchmarks docs
	$(BIN)/snakefmt Snakefile workflow

bench: $(SETUP)  ## training, metrics, samplers and the pipeline, timed on this machine against others, a quarter of an hour
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/metrics.py --memory 50000
	$(BIN)/python benchmarks/sampling.py
	$(BIN)/python benchmarks/pipeline.py

drill: $(SETUP)  ## break a small study in every way it can break, hundreds of times; an hour, some drills need root
	$(BIN)/python tests/drills.py --doc

readme: $(SETUP)  ## the README's results again, from reports/reference
	$(BIN)/divergan readme --params params/reference.yaml

COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
  --no-annotate --no-header --extra dev pyproject.toml

# The others start from the first, so that they have the same versions wherever they can.
lock: $(SETUP)  ## requirements.lock and those of the cluster, the browser and the docs again, from pyproject.toml
	$(COMPILE) --output-file requirements.lock
	cp requirements.lock requirements-cluster.lock
	$(COMPILE) --extra slurm --extra s3 --extra postgresql --extra remotes --output-file requirements-cluster.lock
	cp requirements.lock requirements-browser.lock
	$(COMPILE) --extra browser --output-file requirements-browser.lock
	cp requirements.lock requirements-docs.lock
	$(COMPILE) --extra docs --output-file requirements-docs.lock
