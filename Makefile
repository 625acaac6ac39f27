# Everything that a person or a machine does with this checkout. `make help` lists it.

PREFIX ?= /usr/local
CARGO ?= cargo
TARGET_DIR = $(or $(CARGO_TARGET_DIR),target)
export TARGET_DIR

.DEFAULT_GOAL := help
SECONDS_EACH ?= 60
TRACE_SECONDS ?= 600

.PHONY: help score demo test check fuzz trace build release install clean setup fmt clippy deps audit

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: setup ## build, report on a real browser's capture; as root also record a small network of its own
	@scripts/demo.sh

test: setup ## run all tests
	@scripts/test.sh

check: setup fmt clippy deps ## formatting, lints with warnings denied, the dependency rules

fuzz: ## run every fuzz target for a time (SECONDS_EACH=60); needs a nightly toolchain and cargo-fuzz
	@scripts/fuzz.sh $(SECONDS_EACH)

trace: ## strace ten minutes of recording with rotation (TRACE_SECONDS=600): no call outside the list; needs root
	IMON_TRACE_SECONDS=$(TRACE_SECONDS) $(CARGO) test --locked -p imon-record --test cage under_strace -- --nocapture

PAGES := testdata/netlab/pages
score: build ## how much of third-party traffic stands on the page that caused it, beside a simple rule
	@scripts/score_pages.py --analyze $(TARGET_DIR)/debug/imon-analyze $(PAGES)/one-after-the-other.pcap.gz=$(PAGES)/one-after-the-other.tsv
	@scripts/score_pages.py --analyze $(TARGET_DIR)/debug/imon-analyze $(PAGES)/with-pauses.pcap.gz=$(PAGES)/with-pauses.tsv

build: setup ## build both programs for development
	$(CARGO) build --locked --workspace

release: setup ## build both programs as they are installed
	$(CARGO) build --locked --release --workspace

# Builds nothing: as root there often is no cargo, and a build as root leaves files that its owner cannot remove.
install: ## install what `make release` built in PREFIX/bin (PREFIX=/usr/local)
	@test -x '$(TARGET_DIR)/release/imon-analyze' || { echo 'error: nothing to install yet; run: make release' >&2; exit 1; }
	install -d '$(DESTDIR)$(PREFIX)/bin'
	install -m 755 '$(TARGET_DIR)/release/imon-record' '$(TARGET_DIR)/release/imon-analyze' '$(DESTDIR)$(PREFIX)/bin'

clean: ## remove what was built
	$(CARGO) clean

setup: ## install the system packages that the build needs, if any are missing
	@scripts/setup.sh

fmt: setup ## formatting only
	$(CARGO) fmt --all --check

clippy: setup ## lints only
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

deps: ## dependency rules only
	@scripts/check-deps.sh

audit: ## known vulnerabilities in dependencies, by cargo-deny; needs a network for the advisories
	@$(CARGO) deny --version >/dev/null 2>&1 || { echo 'error: cargo-deny is missing; get it: cargo install --locked cargo-deny' >&2; exit 1; }
	$(CARGO) deny --locked check
