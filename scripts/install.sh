#!/bin/sh
# Installs the named programs where they are missing, by the system's package manager; those of cargo
# (`cargo-deny`) from the crate registry.
#
#   scripts/install.sh cmake nginx
#
# A program that is there already is left alone. What is installed is said first.
# Works as root without sudo. Known: apt-get (Debian, Ubuntu) and brew (macOS).
set -eu

# Daemons live in sbin, what pipx and cargo install in the home directory: not on the path of every user.
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin:$HOME/.local/bin:${CARGO_HOME:-$HOME/.cargo}/bin"
# Debian keeps the programs of PostgreSQL's server apart, by version; Homebrew does not link all of them.
for directory in /usr/lib/postgresql/*/bin /opt/homebrew/opt/postgresql*/bin /usr/local/opt/postgresql*/bin; do
    PATH="$PATH:$directory"
done

say() {
    printf '%s\n' "$*" >&2
}

# The package that brings a program: `package MANAGER PROGRAM`.
package() {
    case "$1:$2" in
    apt-get:cc) echo "gcc libc6-dev" ;;
    apt-get:taskset | apt-get:prlimit) echo util-linux ;;
    # valgrind finds functions of the C library by its symbols.
    apt-get:valgrind) echo "valgrind libc6-dbg" ;;
    apt-get:node) echo nodejs ;;
    apt-get:redis-cli) echo redis-tools ;;
    brew:redis-server | brew:redis-cli) echo redis ;;
    apt-get:pip3) echo python3-pip ;;
    apt-get:aiosmtpd) echo python3-aiosmtpd ;;
    apt-get:initdb) echo postgresql ;;
    brew:initdb | brew:psql) echo postgresql@17 ;;
    apt-get:psql) echo postgresql-client ;;
    brew:aiosmtpd) echo pipx ;;
    brew:python3 | brew:pip3) echo python ;;
    *) echo "$2" ;;
    esac
}

# Runs a command as root.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1; then
        sudo "$@"
    else
        say "install: this needs root, and there is no sudo: $*"
        exit 1
    fi
}

# The named programs that are not there.
absent() {
    for program in "$@"; do
        command -v "$program" >/dev/null 2>&1 || echo "$program"
    done
}

crates=
for program in $(absent "$@"); do
    case "$program" in
    cargo-*) crates="$crates $program" ;;
    esac
done
if [ -n "$crates" ]; then
    say "install: missing, now built and installed with cargo (this takes minutes):$crates"
    # shellcheck disable=SC2086 # one word for each crate
    cargo install --locked $crates
fi

missing=$(absent "$@")
[ -n "$missing" ] || exit 0

if command -v brew >/dev/null 2>&1 && [ "$(uname -s)" = Darwin ]; then
    manager=brew
elif command -v apt-get >/dev/null 2>&1; then
    manager=apt-get
else
    # shellcheck disable=SC2086 # one word for each program
    say "install: missing:" $missing
    say "install: no package manager that is known here (apt-get, brew); please install them yourself"
    exit 1
fi

packages=
for program in $missing; do
    packages="$packages $(package "$manager" "$program")"
done
say "install: missing, now installed with $manager:$packages"

case "$manager" in
brew)
    # shellcheck disable=SC2086 # one word for each package
    brew install $packages
    case " $(echo $missing) " in
    *" aiosmtpd "*) pipx install aiosmtpd ;;
    esac
    ;;
apt-get)
    # An unreachable extra source must not stop what the other sources can give.
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q update ||
        say "install: apt-get update failed; trying with the lists that are there"
    # shellcheck disable=SC2086 # one word for each package
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -q install --yes --no-install-recommends ca-certificates $packages
    # Debian starts a daemon as soon as it is installed. Only the program is wanted here.
    if [ -d /run/systemd/system ]; then
        for program in $missing; do
            case "$program" in
            nginx | haproxy | redis-server)
                say "install: stopping the service $program, which only its installation started"
                as_root systemctl disable --now "$program" || true
                ;;
            initdb)
                say "install: stopping the service postgresql, which only its installation started"
                as_root systemctl disable --now postgresql || true
                ;;
            esac
        done
    fi
    ;;
esac

missing=$(absent "$@")
if [ -n "$missing" ]; then
    # shellcheck disable=SC2086 # one word for each program
    say "install: still missing after the installation:" $missing
    exit 1
fi
