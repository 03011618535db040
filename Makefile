# Floe: `make run` serves, `make test` tests. Both install what they need on a bare Debian machine, and are quick and
# silent about it the second time.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run test test-rust test-bare test-web lint fmt deny bench model model-eval model-test setup setup-test clean

CARGO ?= cargo
APT_BUILD := build-essential cmake pkg-config
APT_RUN := espeak-ng
# Everything `make run` needs beside cargo, as commands: quicker to ask for than packages.
COMMANDS := cc c++ cmake espeak-ng

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: setup ## Build and serve on http://localhost:8080
	@$(CARGO) build --release --bin floe
	@exec $$($(CARGO) metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release/floe serve $(ARGS)

test: lint test-rust test-bare test-web deny ## Everything CI runs
	@echo "make test: all parts passed"

test-rust: setup setup-test ## The hermetic suite: real model, real Opus, real sockets
	$(CARGO) nextest run --lib --bins --test suite
	$(CARGO) test --doc --quiet

test-bare: setup-test ## The same without C++: no whisper.cpp
	$(CARGO) nextest run --no-default-features --lib --test suite

test-web: ## The page's own tests
	@command -v node >/dev/null || $(MAKE) --no-print-directory apt PACKAGES=nodejs
	node --test web-client/test/*.test.js

lint: setup ## Formatting and lints, warnings are errors
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --quiet

fmt: ## Format
	$(CARGO) fmt

deny: ## Licences, banned crates, sources
	@command -v cargo-deny >/dev/null || $(CARGO) install cargo-deny --locked --quiet
	$(CARGO) deny --config .deny.toml check licenses bans sources

bench: setup ## Criterion benches of the hot path
	$(CARGO) bench

# The bundled speech model. Where data and checkpoints lie, and how long it is trained:
MODEL_WORK ?= $(CURDIR)/target/model
MINUTES ?= 86
MODEL_PYTHON := $(MODEL_WORK)/venv/bin/python
MODEL_ASSETS = $(MODEL_WORK)/whisper/whisper/assets
RECIPE = cd models/training && PYTHONDONTWRITEBYTECODE=1 $(MODEL_PYTHON) -m

# XLA takes and returns its memory at every step: glibc is told to keep it, which makes a training half as fast again.
model: model-setup ## Make the bundled speech model from nothing (an hour and three quarters)
	$(RECIPE) recipe.render --work $(MODEL_WORK) --shards 46
	MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=100000000000 MALLOC_ARENA_MAX=1 GLIBC_TUNABLES=glibc.malloc.hugetlb=1; \
	export MALLOC_MMAP_MAX_ MALLOC_TRIM_THRESHOLD_ MALLOC_ARENA_MAX GLIBC_TUNABLES; \
	$(RECIPE) recipe.train --work $(MODEL_WORK) --assets $(MODEL_ASSETS) --minutes $(MINUTES) $(if $(RESUME),--resume)
	$(RECIPE) recipe.export --work $(MODEL_WORK) --assets $(MODEL_ASSETS) --out $(CURDIR)/models/floe-demo.en.bin

model-eval: setup model-setup ## The figures of the bundled model's card
	$(CARGO) build --quiet --example model_eval
	@program=$$($(CARGO) metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/debug/examples/model_eval; \
	$(RECIPE) recipe.evaluate --program $$program --model $(CURDIR)/models/floe-demo.en.bin --work $(MODEL_WORK) $(ARGS)

model-test: model-setup ## The recipe's own tests
	cd models/training && FLOE_WHISPER_ASSETS=$(MODEL_ASSETS) $(MODEL_PYTHON) -m unittest discover -s tests -t .

.PHONY: model-setup
model-setup: $(MODEL_WORK)/venv/ready
	@for command in espeak-ng flite; do \
	    command -v $$command >/dev/null || { $(MAKE) --no-print-directory apt PACKAGES="espeak-ng flite"; break; }; \
	done

# Of the openai-whisper package only the filter bank and the vocabulary are taken; it is not installed.
$(MODEL_WORK)/venv/ready: models/training/requirements.txt models/training/requirements-assets.txt
	@echo "setting up Python in $(MODEL_WORK)"
	@mkdir -p $(MODEL_WORK)/whisper
	@python3 -m venv $(MODEL_WORK)/venv
	@$(MODEL_PYTHON) -m pip install --quiet --disable-pip-version-check -r models/training/requirements.txt
	@$(MODEL_PYTHON) -m pip download --quiet --disable-pip-version-check --no-deps --no-binary :all: \
	    --dest $(MODEL_WORK)/whisper -r models/training/requirements-assets.txt
	@tar -xzf $(MODEL_WORK)/whisper/openai_whisper-*.tar.gz -C $(MODEL_WORK)/whisper --strip-components 1 \
	    --wildcards '*/whisper/assets/*' '*/LICENSE'
	@touch $@

setup: ## Install what building and running need
	@for command in $(COMMANDS); do \
	    command -v $$command >/dev/null || { $(MAKE) --no-print-directory apt PACKAGES="$(APT_BUILD) $(APT_RUN)"; break; }; \
	done
	@command -v $(CARGO) >/dev/null || { echo "Floe needs Rust 1.95 or later: https://rustup.rs"; exit 1; }

setup-test:
	@command -v cargo-nextest >/dev/null || { echo "installing cargo-nextest"; $(CARGO) install cargo-nextest --locked --quiet; }

.PHONY: apt
apt:
	@echo "installing $(PACKAGES)"
	@sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	$$sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -y -qq --no-install-recommends $(PACKAGES) >/dev/null

clean: ## Remove what was built
	$(CARGO) clean
