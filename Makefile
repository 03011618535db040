# Floe: `make run` serves, `make test` tests. Both install what they need on a bare Debian machine, and are quick and
# silent about it the second time.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run test test-rust test-bare test-web lint fmt deny bench setup setup-test clean

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

setup: ## Install what building and running need
	@for command in $(COMMANDS); do \
	    command -v $$command >/dev/null || { $(MAKE) --no-print-directory apt PACKAGES="$(APT_BUILD) $(APT_RUN)"; break; }; \
	done
	@command -v $(CARGO) >/dev/null || { echo "Floe needs Rust 1.95 or later: https://rustup.rs"; exit 1; }

setup-test:
	@command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || $(MAKE) --no-print-directory apt PACKAGES=postgresql
	@command -v cargo-nextest >/dev/null || { echo "installing cargo-nextest"; $(CARGO) install cargo-nextest --locked --quiet; }

.PHONY: apt
apt:
	@echo "installing $(PACKAGES)"
	@sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	$$sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -y -qq --no-install-recommends $(PACKAGES) >/dev/null

clean: ## Remove what was built
	$(CARGO) clean
