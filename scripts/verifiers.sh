#!/bin/sh
# Brings the libraries that verify assertions in the tests into target/verifiers, unless they are there
# already.
set -eu

wanted=tests/verifiers
into=${CARGO_TARGET_DIR:-target}/verifiers

if cmp -s "$wanted/package.json" "$into/installed.json" &&
    cmp -s "$wanted/requirements.txt" "$into/installed.txt"; then
    exit 0
fi
printf '%s\n' "verifiers: installing the packages of $wanted with npm and pip" >&2
rm -rf "$into"
mkdir -p "$into"
cp "$wanted/package.json" "$into/package.json"
npm install --prefix "$into" --no-audit --no-fund --no-package-lock --ignore-scripts --loglevel=error
python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
    --target "$into/python" --requirement "$wanted/requirements.txt"
cp "$wanted/package.json" "$into/installed.json"
cp "$wanted/requirements.txt" "$into/installed.txt"
