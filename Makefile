# Varanger. `make` alone lists what there is.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
IMAGES ?=
# Elsewhere `torch==2.13.0` may be the CUDA build; name an index with CPU wheels here: TORCH_INDEX="--index-url https://…"
TORCH_INDEX ?=

PARTS := libs/common[catalog,amqp,s3,onnx,triton] libs/client libs/fieldsim services/ingest services/inference \
         services/api services/qc services/trainer apps/varanger
EDITABLE := $(foreach part,$(PARTS),-e "$(part)")
PACKAGES := common client fieldsim ingest inference api qc trainer app

.PHONY: help demo up test test-unit test-slow check format schemas services services-down bench lock clean
.DEFAULT_GOAL := help

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

demo: $(VENV)/.demo ## the whole workflow on simulated images, or on IMAGES=<folder>, in one process
	$(BIN)/varanger demo $(if $(IMAGES),--images "$(IMAGES)",)

up: $(VENV)/.demo ## keep the embedded mode running on http://127.0.0.1:8000
	$(BIN)/varanger up

test: $(VENV)/.dev services ## everything, on real RabbitMQ, PostgreSQL, S3 and Triton
	$(BIN)/python -m pytest -m "not slow"

test-unit: $(VENV)/.dev ## no sockets, under a minute
	$(BIN)/python -m pytest tests/unit -m "not slow" -n auto --dist loadfile

test-slow: $(VENV)/.dev services ## studies and soaks
	$(BIN)/python -m pytest -m slow

check: $(VENV)/.dev ## ruff, mypy strict, import-linter, generated schemas
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(foreach package,$(PACKAGES),-p varanger.$(package))
	$(BIN)/lint-imports
	$(BIN)/python -m varanger.app.schemas --check

format: $(VENV)/.dev ## ruff's format and safe fixes
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

schemas: $(VENV)/.dev ## write docs/schemas from the code
	$(BIN)/python -m varanger.app.schemas

services: ## bring up RabbitMQ, PostgreSQL, S3 and Triton where they do not answer yet
	$(PYTHON) deploy/local/services.py up

services-down: ## stop what `make services` started
	$(PYTHON) deploy/local/services.py down

bench: $(VENV)/.dev services ## every benchmark, both sides in one run
	for script in bench/*_bench.py; do $(BIN)/python $$script || exit 1; done

lock: ## resolve exact versions anew (needs uv)
	$(PYTHON) scripts/lock_versions.py

clean: ## remove the environment and local state
	rm -rf $(VENV) .varanger

# The demonstration needs no torch; the tests do.
$(VENV)/.demo: constraints.txt $(wildcard */*/pyproject.toml)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade "pip>=24"
	$(BIN)/python -m pip install -q -c constraints.txt $(EDITABLE)
	touch $@

$(VENV)/.dev: $(VENV)/.demo constraints-torch.txt requirements-dev.txt
	$(BIN)/python -m pip install -q $(TORCH_INDEX) -c constraints-torch.txt torch
	$(BIN)/python -m pip install -q -c constraints.txt -c constraints-torch.txt -r requirements-dev.txt -e "services/trainer[torch]"
	touch $@
