# Ferromq's recipes. `make` lists them. Continuous integration runs `.ci/run`, which is `check` and `test` and nothing else.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run test unit crash simulate compat prepared prepare check fix codes golden bench fuzz

# Tests of single packages are run with --workspace, too: else their dependencies are compiled again, with fewer features.

# Lints may have a target folder of their own, to run beside builds.
LINT_TARGET ?= target
lint := --locked --workspace --target-dir $(LINT_TARGET)

# Where `make check` finds the tools that scripts/install.sh built.
tools := PATH="$(CURDIR)/target/tools/bin:$$PATH"

help: ## List the recipes
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 18

run: ## Run a name server and a broker in one process, on ports 9876 and 10911, with the data under ./data
	cargo run --release

test: unit compat ## Run all tests; installs what they need on Debian, and prints the compatibility matrix

unit: ## Run the unit and property tests, which need nothing but Rust
	cargo test --workspace

# The same tests are part of `make unit`, with fewer lives and rounds.
crash: ## Power cuts and kill -9, the long way: SEEDS (200000) lives of the store's model, ROUNDS (200) of the process
	CRASH_SEEDS=0..$${SEEDS:-200000} cargo test --release --package store --lib crash_model
	KILL_ROUNDS=$${ROUNDS:-200} cargo test --package ferromq --test kill_nine
	KILL_ROUNDS=$${ROUNDS:-200} cargo test --package ferromq --test kill_kinds

# The same test is part of `make unit`, with fewer lives.
simulate: ## Raft groups on simulated networks, disks and clocks, the long way: SEEDS (10000) lives
	SIM_SEEDS=0..$${SEEDS:-10000} cargo test --release --package dledger --lib sim::lives::a_group -- --nocapture

compat: prepared ## Run stock Java and Go clients and mqadmin against Java's brokers and ours; writes docs/compatibility.md
	@# With the tests, so that what they are made of is not built twice.
	cargo test --workspace --no-run
	scripts/with-docker.sh cargo test --workspace --test compat || failed=1; \
	cargo test --workspace --test sql92 || failed=1; \
	cat docs/compatibility.md; exit $${failed:-0}

# Java's brokers and clients from Maven, our client programs built, and the image that containers run. Who comes while another
# prepares waits, and finds all of it there.
prepared:
	mkdir -p target
	flock target/prepared.lock $(MAKE) --no-print-directory prepare

prepare:
	scripts/install.sh compat
	scripts/with-docker.sh compat-tests/setup/prepare.sh

# Never writes outside target/. Cheap checks come first.
check: ## Check format, spelling, licences, dependencies, lints, documents and generated files
	scripts/install.sh check
	cargo fmt --all --check
	cargo fmt --manifest-path remoting/fuzz/Cargo.toml --check
	cargo fmt --manifest-path store/fuzz/Cargo.toml --check
	$(tools) typos
	$(tools) cargo deny --locked --log-level error check --hide-inclusion-graph bans licenses sources
	$(tools) cargo machete --skip-target-dir
	cargo clippy $(lint) --all-targets -- --deny warnings
	@# Targets that ordinary test runs leave out are not among all targets.
	cargo clippy $(lint) --test compat --test group_faults --test migration --test replicas --test sql92 -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" cargo doc $(lint) --no-deps --document-private-items
	cargo test --locked --quiet --workspace --bin ferromq docs

fix: ## Mend what can be mended by machine: format, spelling, lints, generated files
	scripts/install.sh check
	cargo clippy --workspace --all-targets --fix --allow-dirty --allow-staged
	cargo fmt --all
	cargo fmt --manifest-path remoting/fuzz/Cargo.toml
	cargo fmt --manifest-path store/fuzz/Cargo.toml
	$(tools) typos --write-changes
	$(MAKE) codes

# The tests that compare the documents with the code write them when told to.
codes: ## Write docs/requests.md and docs/config.md: every request and setting, and what becomes of it here
	UPDATE_EXPECT=1 cargo test --quiet --workspace --bin ferromq docs

golden: prepared ## Record the golden frames anew from the Java name server and broker
	cargo run --package compat-tests --bin golden

bench: prepared ## Measure ours and the Java broker in one run, with the same load, and print the ratios
	bench/run.sh

fuzz: ## Feed each decoder random bytes for FUZZ_SECONDS (60), on the stable compiler
	scripts/install.sh fuzz
	scripts/fuzz.sh $${FUZZ_SECONDS:-60}
