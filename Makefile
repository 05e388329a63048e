# make help lists the targets. Needs python3.11 and make; everything else comes hashed from the lock files.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
UV := $(VENV)/tools/bin/uv
WORKERS ?= 2
QUESTION ?= Quanto è la caparra ad agosto?
export LITELLM_LOCAL_MODEL_COST_MAP := True
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := 1
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export HF_HUB_OFFLINE := 1
# Tests start hundreds of Pythons; where nothing compiled may be kept, each of them compiles every module again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup setup-ray demo up down test test-fast check format lock bench bench-retrieval bench-overhead bench-compare bench-reindex bench-growth bench-peers bench-validation bench-planning bench-embedding bench-training bench-serving bench-backends bench-page clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

setup: $(VENV)/.ready  ## make .venv from the locked, hashed requirements

$(VENV)/.ready: requirements.lock requirements-tools.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' \
	  || { echo "cervella needs Python 3.11; name it with: make PYTHON=/path/to/python3.11"; exit 2; }
	@echo "Setting up .venv (first time: several hundred MB to download, 2.1 GB on disk)"
	@test -x $(BIN)/python || $(PYTHON) -m venv --without-pip $(VENV)
	@test -x $(VENV)/tools/bin/pip || $(PYTHON) -m venv $(VENV)/tools
	@$(VENV)/tools/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-tools.lock
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(UV) pip sync --quiet --compile-bytecode --require-hashes requirements.lock
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(UV) pip install --quiet --no-deps --no-build-isolation --offline --editable .
	@touch $@

setup-ray: $(VENV)/.ray  ## Ray beside it (220 MB more), for recipes with `execution: {runner: ray}`

$(VENV)/.ray: $(VENV)/.ready requirements-ray.lock
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(UV) pip install --quiet --compile-bytecode --require-hashes -r requirements-ray.lock
	@touch $@

demo: setup  ## run phase mvp on the example notes, then search and ask; succeeds whatever the gate says
	@$(BIN)/cervella run recipes/mvp.yaml || test $$? -eq 1
	@echo; echo '$$ cervella search recipes/mvp.yaml "$(QUESTION)" -k 3'
	@$(BIN)/cervella search recipes/mvp.yaml "$(QUESTION)" -k 3
	@echo; echo '$$ cervella ask recipes/mvp.yaml "$(QUESTION)"'
	@$(BIN)/cervella ask recipes/mvp.yaml "$(QUESTION)" || test $$? -eq 1

up: setup  ## Prefect, MLflow and workers in the background, deployments on them
	@$(BIN)/cervella up

down: setup  ## end what up started
	@$(BIN)/cervella down

test: setup setup-ray  ## all tests, slow ones included (what CI runs; WORKERS=2 at once)
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --durations=40 --durations-min=5

test-fast: setup  ## tests without real servers, models and kills
	$(BIN)/python -m pytest -m "not slow" -n $(WORKERS) --dist worksteal

check: setup  ## format, lint, types, generated files up to date
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/cervella schema --check
	$(BIN)/python -m docs.reference --check

format: setup  ## write what check wants
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/cervella schema --write
	$(BIN)/python -m docs.reference

bench: bench-retrieval bench-overhead bench-compare bench-reindex bench-growth bench-peers bench-validation bench-planning bench-embedding bench-training bench-serving bench-backends bench-page  ## all benchmarks; those beside peers install these apart

bench-retrieval: setup  ## recall, MRR, nDCG: full text, vectors, RRF, ours (NOTES=dir GOLDEN=file, or SQUAD=file)
	$(BIN)/python -m benchmarks.retrieval $(if $(SQUAD),--squad-it $(SQUAD),--notes $(or $(NOTES),examples/sncp) --golden $(or $(GOLDEN),examples/golden.jsonl))

bench-compare: setup  ## the same, and without headings, without dates (NOTES=dir GOLDEN=file)
	$(BIN)/python -m benchmarks.retrieval --compare --notes $(or $(NOTES),examples/sncp) --golden $(or $(GOLDEN),examples/golden.jsonl)

bench-overhead: setup  ## a whole index from nothing against embedding the same texts alone (NOTES=dir)
	$(BIN)/python -m benchmarks.retrieval --notes $(or $(NOTES),examples/sncp) --overhead

bench-reindex: setup  ## what a reindex costs when little changed (COUNT=10000 generated notes, or NOTES=dir)
	$(BIN)/python -m benchmarks.reindex $(if $(NOTES),--notes $(NOTES),--notes-count $(or $(COUNT),10000))

bench-growth: setup  ## what ever more notes cost: 100, 1,000, 10,000
	$(BIN)/python -m benchmarks.growth

bench-peers: setup  ## keeping an index up to date beside LangChain, LlamaIndex, Haystack (NOTES=dir COUNT=866 REPEATS=5)
	$(BIN)/python -m benchmarks.peers $(if $(NOTES),--notes $(NOTES)) --count $(or $(COUNT),866) --repeats $(or $(REPEATS),5)

bench-validation: setup  ## what the check of a dataset costs and finds, beside soup-cli (COUNT=100000 conversations)
	$(BIN)/python -m benchmarks.validation --conversations $(or $(COUNT),100000)

bench-planning: setup  ## validate, plan and --help beside soup-cli
	$(BIN)/python -m benchmarks.planning

bench-embedding: setup  ## the packaged embedder beside others that carry their weights (NOTES=dir)
	$(BIN)/python -m benchmarks.embedding $(if $(NOTES),--notes $(NOTES))

bench-training: setup  ## estimates of training (memory, time) against published runs
	$(BIN)/python -m benchmarks.training_estimates

bench-serving: setup  ## own overhead, requests a second and memory of the endpoint (NOTES=dir DURATION=60), and retrieval (CHUNKS=50000)
	$(BIN)/python -m benchmarks.serving --notes $(or $(NOTES),examples/sncp) --duration $(or $(DURATION),60)
	$(BIN)/python -m benchmarks.serving --chunks $(or $(CHUNKS),50000)

bench-backends: setup  ## the adapter of recipes/optimize-smoke.yaml by llama.cpp and by vLLM, if installed (trains it first)
	$(BIN)/python -m benchmarks.backends

bench-page: setup  ## docs/comparison.md from the results that are there
	$(BIN)/python -m benchmarks.page

lock: setup  ## resolve the dependencies anew (then run make check test)
	$(UV) pip compile pyproject.toml --extra dev --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header --output-file requirements.lock
	echo uv | $(UV) pip compile - --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  --output-file requirements-tools.lock
	grep -o 'ray\[client\]==[0-9.]*' pyproject.toml | $(UV) pip compile - -c requirements.lock --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-header --output-file requirements-ray.lock
	$(BIN)/python -m components.train.environments.lock

clean:  ## remove .venv and caches; your runs under .cervella stay
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
