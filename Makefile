# Floe: `make run` serves, `make test` tests. Both install what they need on a bare Debian machine, and are quick and
# silent about it the second time.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run web test test-rust test-bare test-deploy test-web test-compat test-oidc test-api lint fmt deny bench bench-store model model-eval model-test setup setup-test clean

CARGO ?= cargo
APT_BUILD := build-essential cmake pkg-config
APT_RUN := espeak-ng
# Everything `make run` needs beside cargo, as commands: quicker to ask for than packages.
COMMANDS := cc c++ cmake espeak-ng
# The version that tests load.
ONNXRUNTIME := 1.23.2

# What the page and the widget are built into: the binary takes it in.
PAGE := web-client/dist/index.html
PAGE_SOURCES := $(shell find web-client/src web-client/console web-client/public web-client/index.html web-client/embed.html web-client/build.mjs web-client/tsconfig*.json web-client/package.json)
PAGE_MODULES := web-client/node_modules/.package-lock.json

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: setup ## Build and serve on http://localhost:8080; FLOE_MODEL=base.en make run fetches that speech model first
	@$(CARGO) build --release --bin floe
	@floe=$$($(CARGO) metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release/floe; \
	if [ -n "$${FLOE_MODEL:-}" ]; then \
	    if "$$floe" models fetch "$$FLOE_MODEL"; then export FLOE_STT_MODEL="$${FLOE_STT_MODEL:-$$FLOE_MODEL}"; \
	    else echo "make run: going on without $$FLOE_MODEL"; fi; \
	fi; \
	exec "$$floe" serve $(ARGS)

test: lint test-rust test-bare test-web test-compat test-oidc test-api deny ## Everything CI runs
	@echo "make test: all parts passed"

web: $(PAGE) ## The page and the widget, into web-client/dist

$(PAGE): $(PAGE_SOURCES) $(PAGE_MODULES)
	@echo "building the page"
	@npm run --silent --prefix web-client build

$(PAGE_MODULES): web-client/package-lock.json
	@{ command -v node && command -v npm; } >/dev/null || $(MAKE) --no-print-directory apt PACKAGES="nodejs npm"
	@echo "installing what the page is built with"
	@npm ci --loglevel=error --prefix web-client >/dev/null
	@touch $@

test-rust: setup setup-test ## The hermetic suite: real model, real Opus, real sockets
	$(CARGO) nextest run --lib --bins --test suite
	$(CARGO) test --doc --quiet

test-bare: $(PAGE) setup-test ## The same without C++: no whisper.cpp
	$(CARGO) nextest run --no-default-features --lib --test suite

test-deploy: setup setup-test ## Of these, the ones with Caddy in front; CADDY=/path/to/caddy tries another version
	$(CARGO) nextest run --test suite deploy

test-web: setup tests/oidc/node_modules/.installed ## The widget: types, size, units, and in Chromium with a microphone, talking with a running Floe
	@command -v chromium >/dev/null || $(MAKE) --no-print-directory apt PACKAGES=chromium
	@npm run --silent --prefix web-client check
	@npm run --silent --prefix web-client size
	@npm run --silent --prefix web-client test
	@$(CARGO) build --quiet --bin floe
	@TEST_FLOE=$$($(CARGO) metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/debug/floe \
	    npm run --silent --prefix web-client test:browser

COMPAT := target/compat

test-compat: setup $(COMPAT)/installed ## Released clients of others, as they are, talk with a running Floe
	@command -v chromium >/dev/null || $(MAKE) --no-print-directory apt PACKAGES=chromium
	@$(CARGO) build --quiet --bin floe
	@$(COMPAT)/venv/bin/python tests/compat/run.py --folder $(COMPAT) \
	    --floe $$($(CARGO) metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/debug/floe

$(COMPAT)/installed: tests/compat/requirements.txt tests/compat/constraints.txt tests/compat/node/package-lock.json
	@echo "installing the clients of tests/compat"
	@python3 -c 'import ensurepip, venv' 2>/dev/null || $(MAKE) --no-print-directory apt PACKAGES=python3-venv
	@python3 -m venv --clear $(COMPAT)/venv
	@$(COMPAT)/venv/bin/pip install -qq --no-compile --disable-pip-version-check \
	    -r tests/compat/requirements.txt -c tests/compat/constraints.txt
	@PATH="$(CURDIR)/$(COMPAT)/venv/bin:$$PATH" npm ci --silent --prefix tests/compat/node
	@touch $@

OIDC := tests/oidc/node_modules/.installed

test-oidc: setup $(OIDC) ## Tokens, logins and logouts with oidc-provider, the certified implementation of OpenID Connect
	@$(CARGO) build --quiet --bin floe
	@FLOE=$$($(CARGO) metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/debug/floe \
	    node --test --test-timeout=240000 tests/oidc/oidc.test.mjs

$(OIDC): tests/oidc/package.json tests/oidc/package-lock.json
	@echo "installing oidc-provider"
	@command -v npm >/dev/null || $(MAKE) --no-print-directory apt PACKAGES="nodejs npm"
	@npm ci --silent --prefix tests/oidc
	@touch $@

API := target/api

test-api: setup $(API)/installed ## Whatever /openapi.json allows, and more, asked of a running Floe
	@$(CARGO) build --quiet --bin floe
	@$(API)/venv/bin/python tests/api/run.py --folder $(API) \
	    --floe $$($(CARGO) metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/debug/floe

$(API)/installed: tests/api/requirements.txt tests/api/constraints.txt
	@echo "installing schemathesis"
	@python3 -c 'import ensurepip, venv' 2>/dev/null || $(MAKE) --no-print-directory apt PACKAGES=python3-venv
	@python3 -m venv --clear $(API)/venv
	@$(API)/venv/bin/pip install -qq --no-compile --disable-pip-version-check \
	    -r tests/api/requirements.txt -c tests/api/constraints.txt
	@touch $@

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

bench-store: setup setup-test ## A million turns on SQLite and Postgres: is every list, search and read quick? ARGS="--turns 100000"
	$(CARGO) run --release --example store_scale -- $(ARGS)

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

setup: $(PAGE) ## Install what building and running need
	@for command in $(COMMANDS); do \
	    command -v $$command >/dev/null || { $(MAKE) --no-print-directory apt PACKAGES="$(APT_BUILD) $(APT_RUN)"; break; }; \
	done
	@command -v $(CARGO) >/dev/null || { echo "Floe needs Rust 1.95 or later: https://rustup.rs"; exit 1; }

setup-test:
	@command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || $(MAKE) --no-print-directory apt PACKAGES=postgresql
	@command -v redis-server >/dev/null || $(MAKE) --no-print-directory redis
	@command -v cargo-nextest >/dev/null || { echo "installing cargo-nextest"; $(CARGO) install cargo-nextest --locked --quiet; }
	@command -v caddy >/dev/null || [ -x target/caddy/usr/bin/caddy ] || $(MAKE) --no-print-directory caddy
	@[ -e target/onnxruntime/libonnxruntime.so.$(ONNXRUNTIME) ] || $(MAKE) --no-print-directory onnxruntime

# Debian's Caddy, unpacked: its package would also start a server on port 80.
.PHONY: caddy
caddy:
	@echo "getting caddy"
	@rm -rf target/caddy target/caddy.part && mkdir -p target/caddy.part
	@cd target/caddy.part && { apt-get download -qq caddy 2>/dev/null || { \
	    sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; $$sudo apt-get update -qq && apt-get download -qq caddy; }; }
	@dpkg-deb --extract target/caddy.part/caddy_*.deb target/caddy.part && mv target/caddy.part target/caddy

# Tests start servers of their own: the one that Debian starts with the package is stopped, and stays so.
.PHONY: redis
redis:
	@$(MAKE) --no-print-directory apt PACKAGES=redis-server
	@sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	if [ -d /run/systemd/system ]; then $$sudo systemctl disable --quiet --now redis-server; \
	else $$sudo service redis-server stop >/dev/null 2>&1 || true; fi

# The library alone, out of the wheel: what tests of neural voices load.
.PHONY: onnxruntime
onnxruntime:
	@python3 -m pip --version >/dev/null 2>&1 || $(MAKE) --no-print-directory apt PACKAGES="python3 python3-pip"
	@echo "getting onnxruntime $(ONNXRUNTIME)"
	@rm -rf target/onnxruntime target/onnxruntime.part && mkdir -p target/onnxruntime.part
	@python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
	    --dest target/onnxruntime.part onnxruntime==$(ONNXRUNTIME)
	@cd target/onnxruntime.part && python3 -m zipfile --extract onnxruntime-*.whl wheel
	@mkdir target/onnxruntime.part/lib && mv target/onnxruntime.part/wheel/onnxruntime/capi/libonnxruntime.so.* target/onnxruntime.part/lib/
	@mv target/onnxruntime.part/lib target/onnxruntime && rm -rf target/onnxruntime.part

.PHONY: apt
apt:
	@echo "installing $(PACKAGES)"
	@sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	$$sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -y -qq --no-install-recommends $(PACKAGES) >/dev/null

clean: ## Remove what was built
	$(CARGO) clean
