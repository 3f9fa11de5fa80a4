# `make quickstart` and `make test` are all a fresh machine needs: stable Rust and a C compiler are
# there, the rest is installed. The other targets are for those who work on Guarita.

SHELL := /bin/sh
# rustup puts cargo here and pipx programs; daemons live in sbin, which is not on the path of every user.
export PATH := $(PATH):$(HOME)/.cargo/bin:$(HOME)/.local/bin:/usr/local/sbin:/usr/sbin:/sbin

.DEFAULT_GOAL := help

.PHONY: help
help: ## Say what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)$$/make \1	\2/p' Makefile | expand -t 20

.PHONY: rust
rust:
	@scripts/need-rust.sh

.PHONY: quickstart
quickstart: rust ## Build and run a gateway for a first look, on https://localhost:8443
	@scripts/install.sh cc cmake curl
	cargo build --profile quickstart --bin guarita
	@cargo run --quiet --profile quickstart --bin guarita -- quickstart

# nextest runs no documentation tests, so they go first: the closing summary is that of the tests. Many tests wait
# for something that takes its time, so there are twice as many at once as there are processors. The second round
# is of what hangs on the store, on PostgreSQL and Redis (.config/nextest.toml says which tests that are).
.PHONY: test
test: rust ## Install what the tests need, then run every test, and those of the store on PostgreSQL too
	@scripts/install.sh cc cmake curl nginx caddy python3 pip3 aiosmtpd chromium node npm initdb psql redis-server redis-cli
	@scripts/browser.sh
	@scripts/verifiers.sh
	@if cargo nextest --version >/dev/null 2>&1; then \
		export NEXTEST_TEST_THREADS=$$((2 * $$(getconf _NPROCESSORS_ONLN))); \
		set -x; \
		cargo test --workspace --doc && \
		cargo nextest run --workspace --no-fail-fast && \
		scripts/with-servers.sh cargo nextest run --workspace --profile postgres --no-fail-fast; \
	else \
		set -x; \
		cargo test --workspace --no-fail-fast && \
		scripts/with-servers.sh cargo test --package guarita-store --package guarita-auth --lib --no-fail-fast && \
		scripts/with-servers.sh cargo test --lib --test e2e --no-fail-fast -- \
			reload:: accounts:: api_keys:: browser_sessions:: clients:: keys:: mail:: \
			provider_revocation:: rate_limit_lockout:: recovery:: refresh:: second_factor:: \
			session_revocation:: sessions:: several_gateways:: totp::; \
	fi

# Tests that say #[ignore] because they last: `make test` leaves them out.
.PHONY: faults
faults: rust ## Run the tests of faults that last for minutes, and print what they counted
	@scripts/install.sh cc cmake initdb psql redis-server redis-cli
	cargo test --test e2e -- --ignored --nocapture --test-threads=1 cluster_revocation:: faults:: introspection_reloads:: query_plans:: reload:: single_use:: streaming:: header_spoofing_021

# Advisories need the database of RustSec, which is fetched from the network: where that fails, so does the check.
# ADVISORIES=off: check the rest, and say that advisories were not checked.
.PHONY: check
check: rust ## Format, lints, documentation, the rules of the architecture and the dependencies
	@scripts/install.sh cc cmake cargo-deny
	@cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt
	@cargo clippy --version >/dev/null 2>&1 || rustup component add clippy
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items
	cargo test --test architecture
	@set -x; if [ "$(ADVISORIES)" = off ]; then \
		cargo deny check licenses bans sources && \
		{ set +x; echo "check: advisories were NOT checked (ADVISORIES=off)" >&2; }; \
	else \
		cargo deny check; \
	fi

.PHONY: bench
bench: rust ## Measure the gateway beside a bare proxy, HAProxy and nginx
	@scripts/install.sh cc cmake nginx haproxy wrk taskset initdb python3 redis-server
	scripts/with-servers.sh cargo bench --bench gateway

# Both in one build, so that they share what they are built of. BASELINE=path: a target/bench-count.json of before.
# GUARITA=path: another binary than the one built here.
.PHONY: bench-count
bench-count: rust ## Count what one request costs: instructions, system calls, allocations, bytes copied
	@scripts/install.sh cc cmake nginx valgrind strace
	cargo build --release --package guarita --package bench-count --bins
	@BASELINE="$(BASELINE)" GUARITA="$(GUARITA)" "$${CARGO_TARGET_DIR:-target}/release/bench-count"

.PHONY: bless
bless: rust ## Accept the snapshots and the configuration's schema as they are now
	cargo run --quiet --bin guarita -- schema > docs/configuration.schema.json.new
	mv docs/configuration.schema.json.new docs/configuration.schema.json
	INSTA_UPDATE=always cargo test --workspace
