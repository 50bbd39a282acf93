# What people and CI run. `make demo` and `make test` set up everything they need: see tests/rigs/setup.sh.
VENV := .venv
BIN := $(VENV)/bin
DEMO := build/demo
SITE ?= tests/golden/single/site.yaml

.PHONY: demo setup lint type test vm nightly bench docs

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml tests/rigs/packages.txt tests/rigs/setup.sh
	sh tests/rigs/setup.sh $(VENV)
	touch $@

demo: setup
	$(BIN)/python -m tests.rigs.demo --site $(SITE) --out $(DEMO) $(if $(STOCK),--stock "$(STOCK)")

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

type: setup
	$(BIN)/mypy

test: lint type
	$(BIN)/pytest -m "not nightly" tests/unit tests/golden tests/integration tests/vm

vm: setup
	$(BIN)/pytest tests/vm

nightly: setup
	$(BIN)/pytest -m nightly tests/integration tests/vm

bench: setup
	$(BIN)/python tests/bench/build_iso.py
	$(BIN)/python tests/bench/import_templates.py
	$(BIN)/python tests/bench/vm_agent.py

docs: setup
	$(BIN)/python docs/generate.py
