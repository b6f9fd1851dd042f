# Every command of the project. Bare `make` lists them.
#
# `.venv` and `target` are the only folders written. Each step leaves a stamp, so a second `make test` builds nothing.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules
# Commands do not see how many jobs make has (`make -j`): cargo would look for a share in them that it is not given.
unexport MAKEFLAGS MFLAGS

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP_TOOLS := $(VENV)/.stamp-tools
STAMP_BUILD := $(VENV)/.stamp-build

# One interpreter for every cargo command: otherwise each of them would build the bridge again.
export PYO3_PYTHON := $(CURDIR)/$(BIN)/python
export PIP_DISABLE_PIP_VERSION_CHECK := 1

RUST_SOURCES := $(shell find rust -name '*.rs' -o -name '*.toml' -o -name '*.sql' -o -name '*.lua' 2>/dev/null)
BUILD_INPUTS := $(RUST_SOURCES) Cargo.toml Cargo.lock pyproject.toml
PYTHON_CODE := python tests benches scripts

.PHONY: help
help:
	@echo 'fastq: what can be made'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 28

.PHONY: demo
demo: build ## build, then index the standard library with a worker of two children
	$(BIN)/fastq demo

.PHONY: test
test: build ## build, start what the tests need, run all tests
	scripts/services run -- scripts/test

.PHONY: rust-tests
rust-tests: $(STAMP_TOOLS) ## compile the Rust tests, without running them
	scripts/rust-tests --no-run

.PHONY: build
build: $(STAMP_BUILD) ## make .venv: the release build, every extra, the developers' tools

$(STAMP_TOOLS): requirements/dev.txt scripts/venv
	PYTHON=$(PYTHON) scripts/venv $(VENV) requirements/dev.txt
	@touch $@

$(STAMP_BUILD): $(STAMP_TOOLS) $(BUILD_INPUTS)
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/maturin develop --release --extras brotli,msgpack,title,yaml,zstd
	@touch $@

.PHONY: fmt
fmt: $(STAMP_TOOLS) ## format Rust and Python
	cargo fmt --all
	$(BIN)/ruff check --select I --fix --quiet $(PYTHON_CODE)
	$(BIN)/ruff format --quiet $(PYTHON_CODE)

.PHONY: lint
lint: $(STAMP_TOOLS) ## formatting, clippy, ruff, mypy and floors: all that needs no build
	cargo fmt --all --check
	. scripts/rustflags && cargo clippy --workspace --all-targets --all-features --quiet -- -D warnings
	$(BIN)/ruff check --quiet $(PYTHON_CODE)
	$(BIN)/ruff format --check --quiet $(PYTHON_CODE)
	$(BIN)/mypy --no-error-summary
	$(BIN)/mypy --no-error-summary --no-namespace-packages scripts/*.py
	$(BIN)/python scripts/floors.py

.PHONY: check
check: build lint ## everything that CI checks before it tests: lint, the seam's stub, generated pages, links
	$(BIN)/python scripts/seam.py
	$(BIN)/python scripts/reference.py --check
	$(BIN)/python scripts/states.py --check
	$(BIN)/python scripts/links.py
	@echo 'make check: all good'

.PHONY: contract
contract: build ## the contract suites: brokers and stores in Rust, backends and pools in Python
	. scripts/rustflags && cargo test --package fastq_core --test broker_contract
	$(BIN)/pytest -q tests/contract

.PHONY: faults
faults: build ## 50 000 tasks under 200 kills, and the other faults at full length (some minutes)
	FASTQ_FAULTS=long $(BIN)/pytest -q tests/faults --timeout 1800 -o faulthandler_timeout=1700 -s

.PHONY: no-reference-pool
no-reference-pool: build ## law 2: abort when a Rust thread drops a Python object (a build of its own)
	scripts/no-reference-pool

.PHONY: bench
bench: build ## every figure of benches/README.md, with huey beside it, in one report (some minutes)
	benches/run

.PHONY: bench-compare
bench-compare: build ## on Redis, beside other task queues (40 min; PART= SIDES= ROUNDS= choose less: benches/README.md)
	PYTHONPATH=scripts $(BIN)/python benches/redis_compare/run.py \
		$(if $(PART),--parts $(PART)) $(if $(SIDES),--sides $(SIDES)) \
		$(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SCALE),--scale $(SCALE))

.PHONY: bench-compare-amqp
bench-compare-amqp: build ## on RabbitMQ, beside Celery and the wire limit (PART= SIDES= ROUNDS= SCALE= choose less)
	PYTHONPATH=scripts $(BIN)/python benches/amqp_compare/run.py \
		$(if $(PART),--parts $(PART)) $(if $(SIDES),--sides $(SIDES)) \
		$(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SCALE),--scale $(SCALE))

.PHONY: bench-compare-keep
bench-compare-keep: ## keep the figures of the last bench-compare: benches/results/redis and benches/README.md
	PYTHONPATH=scripts $(BIN)/python benches/redis_compare/report.py --keep

.PHONY: docs
docs: build ## write the generated pages of docs/
	$(BIN)/python scripts/reference.py
	$(BIN)/python scripts/states.py

.PHONY: lock
lock: ## renew requirements/dev.txt from requirements/dev.in
	scripts/lock

.PHONY: clean
clean: ## remove what was built
	cargo clean
	rm -rf $(VENV) .venv-bench .venv-celery* .venv-bench-* .venv-law2 .services dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find python -name '*.so' -delete
	find python tests benches scripts -name __pycache__ -type d -prune -exec rm -rf {} +
