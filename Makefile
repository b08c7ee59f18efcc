# The first thing to run is `make up` or `make test`; both do all the set-up themselves.

SHELL := /bin/sh
TARGET := $(or $(CARGO_TARGET_DIR),target)
CLARION := $(TARGET)/release/clarion
# More arguments for the command at the end of a recipe: make up ARGS="--http-addr 127.0.0.1:9000"
ARGS ?=
# What is built
PROGRAMS = -p clarion

.DEFAULT_GOAL := help
.PHONY: help up test demo bench bench-gateway bench-send bench-ingest bench-reports bench-scroll lighthouse chaos fuzz migrate lint fmt clean-data screenshots build packages dashboard

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

up: build ## Build and run the whole platform; Ctrl-C stops it
	@exec $(CLARION) up $(ARGS)

test: lint ## Lint, then run every test on real Postgres, Redis and Chromium
	@deploy/setup/packages.sh test
	@deploy/setup/dashboard.sh check
	cargo test --locked --workspace --no-fail-fast $(ARGS)

demo: build ## Import, send, track and report a campaign of 10,000 leads
	@exec $(CLARION) demo $(ARGS)

bench: build ## Measure speed as ratios against what the machine can do
	@deploy/setup/packages.sh bench
	@exec $(CLARION) bench $(ARGS)

bench-gateway: ARGS += --only gateway
bench-gateway: PROGRAMS += -p gateway
bench-gateway: bench ## Only the gateway, against nginx over the same upstream

bench-send: ARGS += --only send,growth
bench-send: bench ## Only sending: unsigned, signed, the path alone, where the CPU time goes, and growth

bench-ingest: ARGS += --only ingest
bench-ingest: bench ## Only events, in arrays and one by one, straight and through the gateway, and clicks (and memory: --soak-minutes 60)

bench-reports: ARGS += --only reports
bench-reports: bench ## Only reports, over 50 million events (60 GB of disk; fewer: --events 5000000)

chaos: build ## Send 50,000 mails while everything that can break is broken; account for everybody
	@exec $(CLARION) chaos $(ARGS)

fuzz: build ## For five minutes, send what the API's document allows and what it does not
	@deploy/setup/packages.sh test
	@deploy/setup/fuzz.sh $(CLARION) $(ARGS)

bench-scroll: build ## Scroll through a table of 100,000 rows in Chromium; no task may last longer than 50 ms
	@deploy/setup/packages.sh test
	@deploy/setup/browse.sh $(CLARION) scroll $(ARGS)

lighthouse: build ## Judge the dashboard's main screens by Lighthouse
	@deploy/setup/packages.sh test
	@deploy/setup/browse.sh $(CLARION) lighthouse $(ARGS)

screenshots: build ## Take the README's pictures
	@deploy/setup/packages.sh test
	@deploy/setup/browse.sh $(CLARION) screenshots crates/dashboard/pictures

migrate: build ## Make roles and schemas and apply migrations (DATABASE_URL: an admin's)
	@exec $(CLARION) migrate $(ARGS)

lint: packages ## Check format, lints, the house's rules and everything under deploy/
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo test --locked --quiet -p testkit --test house
	@deploy/setup/lint.sh

fmt: ## Format the code
	cargo fmt --all

clean-data: ## Delete the data of `make up`
	@deploy/setup/clean-data.sh

build: packages dashboard
	cargo build --locked --release $(PROGRAMS)

dashboard: packages
	@deploy/setup/dashboard.sh

packages:
	@deploy/setup/packages.sh
