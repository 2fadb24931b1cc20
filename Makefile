# Ferromq's recipes. `make` lists them. Continuous integration runs `.ci/run`, which is `check` and `test` and nothing else.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help run test unit compat check fix codes golden bench fuzz

# Where `make check` finds the tools that scripts/install.sh built.
tools := PATH="$(CURDIR)/target/tools/bin:$$PATH"
crates := remoting store dledger namesrv broker ferromq

help: ## List the recipes
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 18

run: ## Run a name server and a broker in one process, on ports 9876 and 10911, with the data under ./data
	cargo run --release

test: unit compat ## Run all tests; installs what they need on Debian, and prints the compatibility matrix

unit: ## Run the unit and property tests, which need nothing but Rust
	cargo test --workspace --exclude compat-tests

compat: ## Run stock Java and Go clients and mqadmin against Java's brokers and ours; writes docs/compatibility.md
	scripts/install.sh compat
	scripts/with-docker.sh cargo test -p compat-tests
	cat docs/compatibility.md

# Never writes outside target/. Cheap checks come first.
check: ## Check format, spelling, lints, documents, licences and generated files
	scripts/install.sh check
	cargo fmt --all --check
	cargo fmt --manifest-path remoting/fuzz/Cargo.toml --check
	$(tools) typos
	$(tools) cargo deny --log-level error check --hide-inclusion-graph bans licenses sources
	cargo clippy --workspace --all-targets -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" cargo doc --workspace --no-deps --document-private-items
	scripts/generated.sh check

fix: ## Mend what can be mended by machine: format, spelling, lints, generated files
	scripts/install.sh check
	cargo clippy --workspace --all-targets --fix --allow-dirty --allow-staged
	cargo fmt --all
	cargo fmt --manifest-path remoting/fuzz/Cargo.toml
	$(tools) typos --write-changes
	scripts/generated.sh write

codes: ## Write docs/requests.md: every request code, and whether it is answered or why it is refused
	scripts/generated.sh write

golden: ## Record the golden bytes anew from the Java broker
	scripts/install.sh compat
	scripts/with-docker.sh cargo run --package compat-tests --bin golden

bench: ## Measure ours and the Java broker in one run, with the same load, and print the ratios
	scripts/install.sh compat
	cargo run --release --package compat-tests --bin bench

fuzz: ## Feed each decoder random bytes for FUZZ_SECONDS (60), on the stable compiler
	scripts/install.sh fuzz
	scripts/fuzz.sh $${FUZZ_SECONDS:-60}
