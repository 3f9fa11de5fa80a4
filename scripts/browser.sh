#!/bin/sh
# Brings the packages of the browser tests into target/browser, unless they are there already.
set -eu

wanted=tests/browser/package.json
into=${CARGO_TARGET_DIR:-target}/browser

if cmp -s "$wanted" "$into/installed.json"; then
    exit 0
fi
printf '%s\n' "browser: installing the packages of $wanted with npm" >&2
mkdir -p "$into"
cp "$wanted" "$into/package.json"
npm install --prefix "$into" --no-audit --no-fund --no-package-lock --ignore-scripts --loglevel=error
cp "$wanted" "$into/installed.json"
