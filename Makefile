# Two commands do everything on a fresh machine: `make tables` and `make test`.
# Set-up happens by itself: it needs Python 3.11 or newer, nothing else.

PYTHON ?= python3
SCALE ?= digits
CORES ?= all
# Processes that run the tests; a file of tests stays in one, and files begin in their order: with the
# reordering the slowest, which hold few tests each, would be left to the end.
TESTERS ?= 2
# How many seeds, in place of the scale's own number.
SEEDS ?=
VENV := .venv
# TORCH=cpu installs torch without CUDA, TORCH= the build that requirements.lock means. The choice is
# kept in the name of the file that marks the environment as ready, so it is made once.
TORCH ?= $(patsubst $(VENV)/.ready-%,%,$(wildcard $(VENV)/.ready-*))
$(if $(filter-out cpu,$(TORCH)),$(error TORCH=$(TORCH): accepted are cpu and nothing))
READY := $(VENV)/.ready$(addprefix -,$(TORCH))
OTHERS := $(filter-out $(READY),$(wildcard $(VENV)/.ready*))
SYNC := --compile-bytecode --python $(VENV)/bin/python
ifeq ($(TORCH),cpu)
SYNC += --torch-backend=cpu
endif
# Both builds have the version that the lock asks for: the one in place would be kept.
ifneq ($(OTHERS),)
SYNC += --reinstall-package torch --reinstall-package torchvision
endif
# Snakemake keeps a cache in the home directory before it reads our rules; containers and batch
# systems start programs without one, or with one that cannot be written to.
CACHE := $(shell test -n "$$HOME" || echo 'HOME="$$PWD/.snakemake/home"'; \
	mkdir -p "$${XDG_CACHE_HOME:-$$HOME/.cache}" 2>/dev/null && \
	test -w "$${XDG_CACHE_HOME:-$$HOME/.cache}" || echo 'XDG_CACHE_HOME="$$PWD/.snakemake/cache"')
RUN := PATH="$$PWD/$(VENV)/bin:$$PATH" $(CACHE)
SNAKEMAKE := $(RUN) snakemake --cores $(CORES)
# One line of progress, finished pages and errors; all the rest is in Snakemake's log file.
BRIEF := PYTHONPATH="$$PWD/workflow/plugins$${PYTHONPATH:+:$$PYTHONPATH}" $(RUN) \
	snakemake --logger dmp --cores $(CORES)
CONFIG := --config 'scale=$(SCALE)' $(if $(SEEDS),'seeds=$(SEEDS)')
OPTIONS := '--scale=$(SCALE)' $(if $(SEEDS),'--seeds=$(SEEDS)')
# Table 2 is made first, and by itself: it can be read while the rest is still running. Priorities
# would not do, since then the baselines that table 2 waits for are no more urgent than its runs.
FIRST := 'results/$(SCALE)/tables/table2.md'

.PHONY: help setup tables studies report report-all verify rebuild smoke sweep dashboard test lint docs bench \
	fuzz gpu mlflow chaos unlock lock clean

help:
	@echo "make tables   the paper's tables, figures and claims on embedded data: results/digits"
	@echo "make studies  our own questions as well"
	@echo "make report   one HTML page: verdicts, tables, figures, finished sweeps, times; report-all: studies as well"
	@echo "make verify   is this run the committed reference, to the bit or statistically?"
	@echo "make rebuild  tables, figures and claims again from existing runs, in seconds"
	@echo "make sweep    Optuna searches over the method's options: results/digits/sweeps"
	@echo "make dashboard  look at one in Optuna's dashboard: SWEEP=prompt-count make dashboard"
	@echo "make smoke    every cell of every table, far too small for conclusions: results/smoke"
	@echo "make test     the tests, among them the whole workflow at smoke scale"
	@echo "make mlflow   look at all runs in MLflow: prints a link for each study, and serves them"
	@echo "make chaos    kill a small workflow again and again: is every byte the same? KILLS=50"
	@echo "make gpu      is all right on this machine's GPU, and how fast is it? At most 8 minutes"
	@echo "make bench    how long the short commands take on this machine"
	@echo "make fuzz     20,000 damaged files of each kind, and what their readers say"
	@echo "make unlock   if the lock is of a snakemake on another machine that is gone"
	@echo "make lint     ruff, ty, snakefmt, snakemake --lint, hadolint"
	@echo "make docs     the documentation as a web site: site/index.html"
	@echo "make lock     resolve pyproject.toml into requirements.lock, with newer versions"
	@echo "make setup TORCH=cpu   torch without CUDA: 4 GB less to download and keep"
	@echo "SCALE=smoke make tables, SCALE=smoke make verify, CORES=4 make tables, SEEDS=10 make tables"

setup: $(READY)

# The bytecode is compiled once here: Python starts some fifty times in a run of the workflow.
$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=...")'
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	test -x $(VENV)/bin/uv || $(VENV)/bin/python -m pip install --quiet "uv>=0.8"
	grep -vE '$(if $(TORCH),^(cuda-|nvidia-|triton),^$$)' requirements.lock | \
		$(VENV)/bin/uv pip sync --quiet $(SYNC) -
	$(VENV)/bin/uv pip install --quiet --no-deps --python $(VENV)/bin/python --editable .
	rm -f $(VENV)/.ready*
	touch $(READY)

tables: $(READY)
	$(BRIEF) $(CONFIG) -- $(FIRST)
	$(BRIEF) $(CONFIG) -- tables
	@echo "open results/$(SCALE)/tables/table2.md and results/$(SCALE)/claims.md"

studies: $(READY)
	$(BRIEF) $(CONFIG) -- $(FIRST)
	$(BRIEF) $(CONFIG) -- tables studies
	@echo "open results/$(SCALE)/tables/mechanism.md"

report report-all:
	$(SNAKEMAKE) --report 'results/$(SCALE)/report.html' \
		--report-stylesheet workflow/report/style.css $(CONFIG) -- \
		$(if $(filter report,$@),tables,tables studies) $(wildcard results/$(SCALE)/sweeps/*/confirmed.csv)
	@echo "open results/$(SCALE)/report.html"

report: tables
report-all: studies

verify: $(READY)
	$(RUN) dmp verify $(OPTIONS)

rebuild: $(READY)
	$(RUN) dmp rebuild $(OPTIONS)

sweep: $(READY)
	$(BRIEF) $(CONFIG) -- sweep
	@echo "open results/$(SCALE)/sweeps"

# A journal is one file for each sweep; SWEEP names it.
SWEEP ?= prompt-count
dashboard: $(READY)
	$(RUN) optuna-dashboard --host 127.0.0.1 --port 8080 'results/$(SCALE)/sweeps/$(SWEEP)/journal.log'

smoke: $(READY)
	$(BRIEF) smoke
	@echo "open results/smoke/tables/table2.md; SCALE=smoke make verify compares the numbers with ours"

test: $(READY)
	$(RUN) pytest -n $(TESTERS) --dist loadfile --no-loadscope-reorder

lint: $(READY)
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) ty check
	$(RUN) snakefmt --check Snakefile workflow/Snakefile workflow/rules
	$(RUN) python .ci/lint_workflow.py
	$(RUN) hadolint Dockerfile

docs: $(READY)
	$(RUN) NO_MKDOCS_2_WARNING=1 mkdocs build --quiet --strict
	@echo "open site/index.html"

fuzz: $(READY)
	$(RUN) python .ci/fuzz.py
# Kills a small workflow again and again, and compares every byte; see .ci/chaos.py.
KILLS ?= 50
chaos: $(READY)
	$(RUN) python .ci/chaos.py --kills $(KILLS)

bench: $(READY)
	$(RUN) python .ci/benchmark.py

# Minutes; fewer minutes mean fewer repetitions.
BUDGET ?= 8
gpu: $(READY)
	$(RUN) dmp gpu-check --budget $(BUDGET)

mlflow: $(READY)
	$(RUN) dmp track --links http://127.0.0.1:5000 $(OPTIONS)
	$(RUN) MLFLOW_DISABLE_TELEMETRY=true mlflow ui --host 127.0.0.1 --port 5000 \
		--backend-store-uri sqlite:///results/mlflow.db

# Needed only if the holder of a lock cannot be known: of another machine, say.
unlock: $(READY)
	$(RUN) snakemake --unlock

lock: $(READY)
	$(VENV)/bin/uv pip compile --quiet --upgrade pyproject.toml --all-extras --universal \
		--no-emit-index-url --no-header --no-annotate --output-file requirements.lock

clean:
	rm -rf results/smoke results/digits .snakemake site
