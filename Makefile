# GantryGuard. `make help` lists the targets.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
TYPINGS := build/typings
STAMP := $(VENV)/.ready
export PYTHONHASHSEED := 0

.DEFAULT_GOAL := help
.PHONY: help setup demo bench fuzz mutants release test test-full checks lint types gen-check gen-check-trained gen clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## virtual environment and MicroPython image (idempotent)
	@$(BIN)/gantryguard doctor --quiet

$(STAMP): pyproject.toml constraints.txt firmware/typings.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || \
	  { echo "setup: Python 3.11 not found. Remedy: install it, or run make PYTHON=/path/to/python3.11"; exit 3; }
	@echo "setup: creating $(VENV) and installing the pinned packages (about a minute, once)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --upgrade --target $(TYPINGS) -r firmware/typings.txt
	@touch $(STAMP)

demo: setup ## the main job: real exams and attacks, with the guard and without
	@$(BIN)/gantryguard demo

release: setup ## image, package, bills of materials and digests in build/release, reproducible to the byte
	@$(BIN)/gantryguard firmware release

bench: setup ## measure latencies and stages into docs/performance.json, .png and .md (some 10 minutes)
	@$(BIN)/gantryguard bench latency --output docs/performance.json --picture docs/performance.png
	@$(BIN)/python -m gantryguard.profiles.docs --write

FUZZ_RUNS ?= 200000
mutants: setup ## mutation testing of what decides whether a package is believed (some five minutes)
	@$(BIN)/python host_tools/mutation/mutants.py

fuzz: setup ## coverage-guided fuzzing of what reads a package (some minutes)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --constraint constraints.txt --editable '.[dev,fuzz]'
	@$(BIN)/python host_tools/fuzz/packages.py -atheris_runs=$(FUZZ_RUNS) -verbosity=0 -print_final_stats=1

lint: setup ## ruff
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: setup ## mypy --strict on the host tools, and the firmware against the rp2 stubs
	@$(BIN)/mypy --strict host_tools/gantryguard
	@cd firmware && ../$(BIN)/mypy --config-file mypy.ini interposer

gen-check: setup ## generated files are what their sources give
	@$(BIN)/python -m gantryguard.generated --check

gen: setup ## regenerate documents, networks and packages from their sources
	@$(BIN)/python -m gantryguard.generated --write

gen-check-trained: setup ## the same with networks trained anew (minutes)
	@$(BIN)/python -m gantryguard.generated --check-trained

checks: setup ## lint, types and gen-check, two at a time
	@$(MAKE) --no-print-directory -j 2 lint types gen-check

# Two workers share two cores. With threads of their own, which wait for each other actively, boosting takes many times as long (on a
# busy machine more than 300 s instead of 31 for the test of the ceiling).
test test-full: export OMP_NUM_THREADS := 1
test test-full: export OPENBLAS_NUM_THREADS := 1

test: checks ## everything that CI runs
	@$(BIN)/pytest -n 2 --dist loadgroup -m "not full"

test-full: checks gen-check-trained ## the long sweeps too, and the networks trained anew
	@$(BIN)/pytest -n 2 --dist loadgroup

clean: ## remove what was built (not the cache of downloads)
	rm -rf $(STAMP) build $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
