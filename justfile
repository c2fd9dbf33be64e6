# Every command of CONTRIBUTING.md; tests/it/docs.rs holds the two equal. `just --list` shows the recipes.

# Everything to do before a commit.
check: lint test

run:
    cargo run --release

test:
    cargo test

# The README's tour; needs bash, curl and jq.
tour:
    cargo test --test it -- --ignored tour

# The recipes of docs/import.md; needs bash, jq and Python.
recipes:
    cargo test --test it -- --ignored recipe

fmt:
    cargo fmt

# Needs cargo-deny.
lint:
    cargo fmt --check
    cargo clippy --all-targets --locked -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --locked
    cargo deny --log-level error check bans licenses sources

doc:
    cargo doc --no-deps --open

bench:
    cargo bench

# The scripts below install what they need, on Debian or Ubuntu and as root.

api:
    .ci/api

access:
    .ci/access

clients:
    .ci/clients

container:
    .ci/container

fuzz:
    .ci/fuzz

kernel:
    .ci/kernel

metrics:
    .ci/metrics

mutations:
    .ci/mutations --all

page:
    .ci/page

service:
    .ci/service

stream:
    .ci/stream

peers:
    benches/peers/run

page-bench:
    node benches/page/measure.js

ci:
    .ci/run
