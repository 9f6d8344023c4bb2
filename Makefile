# Needs Python 3.11 or later, git and make; everything else is put into .venv (about 8 GB).
PYTHON ?= python3
UV := .bootstrap/bin/uv
RUN := .venv/bin/python -m
TWO := --numprocesses 2 --dist loadfile --no-loadscope-reorder
INSTALL := $(UV) pip install --quiet --python .venv --constraint constraints.txt --editable

.PHONY: demo test quick lint docs bench clean

demo: .venv/demo.done  ## simulate a cohort, build a store, ask who looks like whom
	.venv/bin/learner-index demo --folder demo

test: .venv/test.done lint  ## everything CI runs
	$(RUN) pytest $(TWO) --durations=20 --cov --cov-report=term --cov-fail-under=90

quick: .venv/test.done  ## the tests that take seconds
	$(RUN) pytest $(TWO) -m "not slow"

lint: .venv/test.done
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy

docs: .venv/test.done  ## the documentation as a site: build/site/index.html
	NO_MKDOCS_2_WARNING=1 $(RUN) mkdocs build --strict
	@echo open build/site/index.html

bench: .venv/test.done  ## speed as ratios, each in one run
	for name in build cold encoder search store pretrain; do \
		echo "== $$name"; .venv/bin/python benchmarks/$$name.py; done

clean:
	rm -rf .venv .bootstrap

$(UV):
	$(PYTHON) -m venv .bootstrap
	.bootstrap/bin/pip install --quiet uv

.venv/demo.done: $(UV) pyproject.toml constraints.txt
	$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv
	$(INSTALL) '.[demo]'
	touch $@

.venv/test.done: $(UV) pyproject.toml constraints.txt
	$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv
	$(INSTALL) '.[test]'
	touch $@ .venv/demo.done
