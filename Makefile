# Everything that a person or a machine does with this checkout. `make help` lists it.

PREFIX ?= /usr/local
# Debian's zsh looks in PREFIX/share/zsh/vendor-completions.
ZSH_COMPLETIONS ?= $(PREFIX)/share/zsh/site-functions
CARGO ?= cargo
TARGET_DIR = $(or $(CARGO_TARGET_DIR),target)
export TARGET_DIR

.DEFAULT_GOAL := help
SECONDS_EACH ?= 60
RUNS ?= 5
MINUTES ?= 60
TRACE_SECONDS ?= 600
JOBS ?= 1
MUTATIONS ?= 20000
SEED ?= 20261122

.PHONY: setup-build help test-page screens test-fleet bench-books bench-fleet bench bench-instructions bench-stages bench-growth bench-top bench-live soak demo test check fuzz fuzz-build mutate score score-truth score-pages trace build release man install uninstall deb reproduce sbom publish-check clean setup fmt clippy house deps audit packaging

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: setup-build ## build, report on a real browser's capture; as root also record a small network of its own
	@scripts/demo.sh

screens: setup-build ## every command that the documents show, in terminals of 80 x 24 and 120 x 40, into target/screens
	@cargo build --quiet --locked -p imon-analyze && python3 scripts/screens.py "$${CARGO_TARGET_DIR:-target}/debug/imon-analyze" target/screens

test: setup ## run all tests
	@scripts/test.sh

test-page: setup-build ## look at the page in a real Chromium: all it does, no request, nothing serious by axe-core; says so where there is none
	@scripts/test-page.sh

.PHONY: screenshots
screenshots: setup-build ## draw the pictures of the documents, in a real Chromium, from a made-up home
	@mkdir -p docs/pictures
	@scripts/test-page.sh pictures docs/pictures

check: setup-build fmt clippy house deps packaging ## formatting, lints with warnings denied, the rules for sources, dependencies and packaging

fuzz: ## run every fuzz target for a time (SECONDS_EACH=60 JOBS=1 TARGETS=…); needs a C++ compiler beside Rust
	@JOBS=$(JOBS) scripts/fuzz.sh $(SECONDS_EACH) $(TARGETS)

fuzz-build: ## build the fuzz targets with their seeds and dictionaries into OUT, as ClusterFuzzLite wants them
	@scripts/fuzz.sh --out '$(OUT)'

mutate: setup ## changed captures, segments and databases: no panic, no hang, books balance (MUTATIONS=20000 SEED=20261122)
	MUTATIONS=$(MUTATIONS) SEED=$(SEED) $(CARGO) test --locked -p imon-analyze --test mutations

trace: ## strace ten minutes of recording with rotation (TRACE_SECONDS=600): no call outside the list; needs root
	IMON_TRACE_SECONDS=$(TRACE_SECONDS) $(CARGO) test --locked -p imon-record --test cage under_strace -- --nocapture

score: setup-build ## DNS alone against the names inside flows, by set and kind of evidence (ARGS=--write writes docs/SCORE.md and what explain says)
	@scripts/score.sh

score-truth: setup-build ## all evidence against what was really there: tables of TRUTH (CAPTURE=TABLE …), and IMON_CORPUS
	@scripts/release.sh --quiet -p imon-analyze
	@scripts/score_truth.py --analyze $(TARGET_DIR)/release/imon-analyze $(if $(IMON_CORPUS),--corpus '$(IMON_CORPUS)') $(TRUTH)

PAGES := testdata/netlab/pages
score-pages: build ## how much of third-party traffic stands on the page that caused it, beside a simple rule
	@scripts/score_pages.py --analyze $(TARGET_DIR)/debug/imon-analyze $(PAGES)/one-after-the-other.pcap.gz=$(PAGES)/one-after-the-other.tsv
	@scripts/score_pages.py --analyze $(TARGET_DIR)/debug/imon-analyze $(PAGES)/with-pauses.pcap.gz=$(PAGES)/with-pauses.tsv
	@scripts/score_page_worlds.py --analyze $(TARGET_DIR)/debug/imon-analyze

.PHONY: test-service
test-service: setup-build ## as root on Linux: the package of `make deb` and its services in a machine of systemd-nspawn; says what it lacks (DEB= ROOT= PARTS=)
	@scripts/test-service.sh

.PHONY: test-disk
test-disk: setup-build ## books cut short: killed, on a disk that loses what was not synced, on a full one (KILLS=200 CUTS=220 FULL=8 SEED=1); Linux
	@scripts/test-disk.sh

test-fleet: setup-build ## every query of docs/FLEET.md by its own engine, beside imon-analyze (VENV= ENGINES=)
	@scripts/test-fleet.sh

bench-books: ## books of three years, open and closed: bytes a row, CPU seconds, memory (DAYS= ROWS= RUNS=)
	@scripts/bench-books.sh

bench-fleet: ## a dataset of 100 recorders and 90 days: export, merge, questions, engines (RECORDERS= DAYS= ROWS= VENV= WORK=)
	@scripts/bench-fleet.sh

bench: setup-build ## captures read: imon beside cat, tcpdump, tshark and whoever else is installed, with tables (RUNS=5 IMON_BENCH=FOLDER)
	@RUNS=$(RUNS) scripts/bench.sh

bench-instructions: setup-build ## instructions a packet of each stage, by callgrind, beside scripts/instructions.budget; 1 if one is over (ARGS=--write); needs valgrind
	@scripts/bench-instructions.sh $(ARGS)

bench-stages: setup-build ## each stage by itself, from a capture in memory to a report in memory: time, rates (ARGS=NAME for one)
	@$(CARGO) bench --quiet --locked -p imon-analyze --bench stages -- $(ARGS)

bench-growth: setup-build ## time and memory while packets, flows, names or devices grow, with tables and plots (MOST_PACKETS= MOST_FLOWS= MOST_NAMES= MOST_DEVICES= WHAT=)
	@scripts/bench-growth.sh

bench-top: setup-build ## what `top` takes of a processor at 1,000 new flows a second (FLOWS= SECONDS=)
	@scripts/bench-top.sh

bench-live: setup-build ## as root: live capture beside tcpdump and nfpcapd, with a table at the end (RUNS=5)
	@RUNS=$(RUNS) scripts/bench-live.sh

soak: setup-build ## as root: a long recording at 20,000 packets/s; memory and books must stay (MINUTES=60)
	@MINUTES=$(MINUTES) scripts/soak.sh

build: setup-build ## build both programs for development
	$(CARGO) build --locked --workspace

release: setup-build man ## build both programs, their manual and completions, as they are installed
	@scripts/release.sh --dist

man: setup-build ## write manual pages and completions into the target directory
	@mkdir -p '$(TARGET_DIR)/manual'
	@scripts/release.sh --quiet -p imon-analyze --example manual
	@'$(TARGET_DIR)/release/examples/manual' '$(TARGET_DIR)/manual'

# Builds nothing: as root there often is no cargo, and a build as root leaves files that its owner
# cannot remove.
install: ## install what `make release` built below PREFIX (PREFIX=/usr/local; DESTDIR for packages)
	@DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' ZSH_COMPLETIONS='$(ZSH_COMPLETIONS)' scripts/install.sh install

uninstall: ## remove what `make install` installed; recordings, databases and users stay
	@DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' ZSH_COMPLETIONS='$(ZSH_COMPLETIONS)' scripts/install.sh uninstall

deb: release ## build a Debian package of what `make release` built, twice, to the same bytes; needs dpkg-dev
	@scripts/deb.sh make

reproduce: ## build the package of this commit twice, in two folders, from nothing: the same bytes? Takes long
	@scripts/reproduce.sh

sbom: ## what each program is made of (CycloneDX), into the target directory
	@mkdir -p '$(TARGET_DIR)/sbom'
	@for program in imon-record imon-analyze; do scripts/sbom.py $$program >'$(TARGET_DIR)/sbom/'$$program.cdx.json || exit 1; echo '$(TARGET_DIR)/sbom/'$$program.cdx.json; done

publish-check: setup-build ## what crates.io would be given: `cargo publish --dry-run` for all crates; builds them from the packages
	$(CARGO) publish --locked --workspace --dry-run

clean: ## remove what was built
	$(CARGO) clean

setup: ## install the system packages that build and tests need, if any are missing
	@scripts/setup.sh tests

# What the build needs, and no more.
setup-build:
	@scripts/setup.sh

fmt: setup-build ## formatting only
	$(CARGO) fmt --all --check

clippy: setup-build ## lints only
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

house: ## rules for sources that no lint looks at: parameters of functions, lines of files
	@scripts/check_house.py

deps: ## dependency rules only
	@scripts/check-deps.sh

packaging: ## units, scripts, alert rules and package lists only, as far as the tools for that are here
	@scripts/promtool.sh fetch >/dev/null || true
	@scripts/check-packaging.sh

audit: ## known vulnerabilities in dependencies, by cargo-deny; needs a network for the advisories
	@$(CARGO) deny --version >/dev/null 2>&1 || { echo 'error: cargo-deny is missing; get it: cargo install --locked cargo-deny' >&2; exit 1; }
	$(CARGO) deny --locked check
