#!/bin/sh
# Says how to get Rust where it is missing or too old for this project.
set -eu

wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
if ! command -v cargo >/dev/null 2>&1; then
    echo "Rust is missing. Install stable Rust $wanted or newer from https://rustup.rs" >&2
    exit 1
fi
found=$(rustc --version | sed 's/^rustc \([0-9]*\.[0-9]*\).*/\1/')
major=${found%%.*} minor=${found#*.}
if [ "$major" -lt "${wanted%%.*}" ] ||
    { [ "$major" -eq "${wanted%%.*}" ] && [ "$minor" -lt "${wanted#*.}" ]; }; then
    echo "Rust $found is too old; $wanted or newer is needed. Try: rustup update stable" >&2
    exit 1
fi
