# Everything a newcomer needs: `make help`.

SWIFT ?= swift
BUILD_FLAGS ?=
TEST_FLAGS ?=
BENCH_FLAGS ?=
TRIAL_FLAGS ?= --quick
DEMO_FLAGS ?=
CONFORMANCE_FLAGS ?=
SECONDS ?= 60
SEEDS ?= 2000
FUZZ_TARGETS ?=
MUTANT_FLAGS ?=
# Folders as the GNU coding standards name them; Packaging/install.sh has their defaults.
PREFIX ?= $(prefix)
export PREFIX DESTDIR bindir datadir docdir mandir sysconfdir completiondir unitdir sysusersdir
# What is installed and packaged: it needs the C libraries only, no Swift runtime.
PROGRAM ?= .build/static/release/lifeline
SWIFT_SOURCES = $(wildcard Sources Tests Examples Benchmarks Package.swift)

# Empty when a Swift that can build this package is on the PATH, else one line that says what to do.
SWIFT_PROBLEM = $(shell SWIFT='$(SWIFT)' Scripts/swift-problem.sh)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help swift deps deps-chromium deps-postgresql build release demo trials test test-python conformance \
  conformance-full fuzz simulate mutants test-asan test-tsan bench bench-peers bench-failover bench-api bench-cluster \
  docs lint format clean program install uninstall units deb deb-test

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

swift:
	@$(if $(SWIFT_PROBLEM),$(error $(SWIFT_PROBLEM))):

deps: ## install the C libraries' Debian packages that are missing
	@Scripts/deps.sh

deps-chromium: ## install Chromium and a font, in which the dashboard's tests run
	@Scripts/deps.sh chromium fonts-inter

deps-postgresql: ## install PostgreSQL, with which the shared store is tested
	@Scripts/deps.sh postgresql

build: swift deps ## build everything for debugging
	$(SWIFT) build $(BUILD_FLAGS)

release: swift deps ## build the optimised programs: .build/release/lifeline
	$(SWIFT) build -c release --product lifeline $(BUILD_FLAGS)
	$(SWIFT) build -c release --product websocket-echo $(BUILD_FLAGS)

demo: release ## see workers die and disconnect, and every task still end once
	@Scripts/demo.sh

.PHONY: demo-cluster
demo-cluster: release ## the same of three coordinators on PostgreSQL: they and their database are killed and cut off
	@Scripts/demo-cluster.sh $(DEMO_FLAGS)

trials: release ## break real fleets on purpose: TRIAL_FLAGS="--quick --only e2e,half_open --seed 7"
	.build/release/lifeline test $(TRIAL_FLAGS)

# Swift Testing only: XCTest's empty run would print a misleading "Executed 0 tests" first.
test: swift deps ## run all tests
	@SWIFT='$(SWIFT)' TEST_FLAGS='$(TEST_FLAGS)' Scripts/tests.sh $(BUILD_FLAGS)

conformance: swift deps ## run the Autobahn testsuite, both roles, with a sample of its compression cases
	@Scripts/conformance.sh $(CONFORMANCE_FLAGS)

conformance-full: swift deps ## run all 517 cases of it, half an hour, and write the table to commit
	@Scripts/conformance.sh --full --table Tests/Conformance/RESULTS.md $(CONFORMANCE_FLAGS)

test-asan: swift deps ## run the Reactor and WebSocket tests under AddressSanitizer and LeakSanitizer
	@Scripts/sanitized-tests.sh address

test-tsan: swift deps ## run them under ThreadSanitizer
	@Scripts/sanitized-tests.sh thread

test-python: swift deps ## test the Python client and worker (Clients/python) against the real coordinator
	@SWIFT='$(SWIFT)' Scripts/python-tests.sh

simulate: release ## run SEEDS=2000 simulated fleets under faults, everything checked after each step
	@.build/release/lifeline simulate --seeds $(SEEDS)

mutants: swift deps ## break each rule on purpose and show that seeds of the simulation notice
	@SWIFT='$(SWIFT)' Tests/Mutations/run.py $(MUTANT_FLAGS)

fuzz: swift deps ## fuzz every target for SECONDS=60
	@Scripts/fuzz.sh $(SECONDS) $(FUZZ_TARGETS)

bench: swift deps ## measure, and print a table to compare from commit to commit
	@Scripts/bench.sh $(BENCH_FLAGS)

bench-peers: swift deps ## measure WebSocket echoes beside other servers: BENCH_FLAGS="--quick --rows 20B-1"
	@SWIFT='$(SWIFT)' Benchmarks/Peers/compare.py $(BENCH_FLAGS)

bench-failover: swift deps ## kill and freeze parts of a small fleet, against bounds: BENCH_FLAGS="--repeats 3"
	$(SWIFT) build -c release --product lifeline $(BUILD_FLAGS)
	@Benchmarks/Failover/failover.py --program "$$($(SWIFT) build -c release --show-bin-path)/lifeline" $(BENCH_FLAGS)

bench-api: swift deps ## measure the HTTP API with wrk, and a large submission: BENCH_FLAGS="--seconds 10 --check"
	$(SWIFT) build -c release --product lifeline $(BUILD_FLAGS)
	@Benchmarks/API/api.py --program "$$($(SWIFT) build -c release --show-bin-path)/lifeline" $(BENCH_FLAGS)

bench-cluster: swift deps ## measure several coordinators on one PostgreSQL: BENCH_FLAGS="--coordinators 2 --check"
	$(SWIFT) build -c release --product lifeline $(BUILD_FLAGS)
	@Benchmarks/Cluster/cluster.py --program "$$($(SWIFT) build -c release --show-bin-path)/lifeline" $(BENCH_FLAGS)

docs: swift deps ## build the documentation of the libraries into .build/docs
	@Scripts/docs.sh

lint: swift ## check the format and the house rules
	$(SWIFT) format lint --strict --parallel --recursive $(SWIFT_SOURCES)
	@Scripts/lint-selftest.sh
	@Scripts/lint.sh
	@Scripts/readme-examples.sh
	@Scripts/doc-examples.sh

format: swift ## put the sources into the house format
	$(SWIFT) format --in-place --parallel --recursive $(SWIFT_SOURCES)

# A scratch folder of its own: other flags compile everything anew.
program: swift deps ## build the program to install, which needs no Swift runtime: .build/static/release/lifeline
	$(SWIFT) build -c release --static-swift-stdlib --scratch-path .build/static --product lifeline $(BUILD_FLAGS)

install: ## install what `make program` built: PREFIX=/usr/local DESTDIR= (may be root, builds nothing)
	@PROGRAM='$(PROGRAM)' Packaging/install.sh

uninstall: ## remove what `make install` installed; options, keys and tasks stay
	@PROGRAM='$(PROGRAM)' Packaging/install.sh --uninstall

units: ## check the systemd units, their exposure included
	@Scripts/deps.sh systemd
	@Packaging/systemd/check.sh

deb: program ## build the Debian package into .build/packages
	@Scripts/deps.sh dpkg-dev binutils
	@PROGRAM='$(PROGRAM)' Packaging/debian/build.sh .build/packages

deb-test: program ## build it twice, and install, use and purge it on a clean Debian; as root
	@Scripts/deps.sh dpkg-dev binutils lintian mmdebstrap
	@PROGRAM='$(PROGRAM)' Packaging/debian/test.sh

clean: ## remove what was built and what the demo left
	rm -rf .build .demo
