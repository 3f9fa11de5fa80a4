#!/bin/sh
# Runs a command while a PostgreSQL and a Redis server of its own run, and ends the servers with it.
#
#   scripts/with-servers.sh cargo nextest run --lib
#
# The command is told by the environment: TEST_DATABASE=postgres, and TEST_POSTGRES and TEST_REDIS, the URLs
# of the servers. Everything is in a directory for the time being; nothing survives it, so nothing waits for
# a disk. PostgreSQL refuses to run as root: there it runs as `postgres`, or `nobody`.
set -eu

# Debian keeps the server's programs apart, by version; Homebrew's may not be linked.
for directory in /usr/lib/postgresql/*/bin /opt/homebrew/opt/postgresql*/bin /usr/local/opt/postgresql*/bin; do
    [ -x "$directory/initdb" ] && PATH="$PATH:$directory"
done
export PATH

# In memory where there is room: databases come and go with hundreds of files, which a disk's file system takes
# longer to find place for than the tests take to use them.
parent=${TMPDIR:-/tmp}
room=$(df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 { print $4 }')
if [ -w /dev/shm ] && [ "${room:-0}" -ge 2097152 ]; then
    parent=/dev/shm
fi
directory=$(mktemp -d "$parent/guarita-servers.XXXXXX")
redis=

# Runs a command as whoever may run a server.
as_server() {
    if [ "$(id -u)" -ne 0 ]; then
        "$@"
    elif id postgres >/dev/null 2>&1; then
        setpriv --reuid=postgres --regid="$(id -g postgres)" --clear-groups -- "$@"
    else
        setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups -- "$@"
    fi
}

finish() {
    [ -z "$redis" ] || kill "$redis" 2>/dev/null || true
    as_server pg_ctl --pgdata="$directory/data" --mode=immediate --silent stop >/dev/null 2>&1 || true
    rm -rf "$directory"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if [ "$(id -u)" -eq 0 ]; then
    if id postgres >/dev/null 2>&1; then chown postgres "$directory"; else chown nobody "$directory"; fi
fi

(
    cd "$directory"
    as_server initdb --pgdata="$directory/data" --username=guarita --auth=trust --encoding=UTF8 \
        --locale=C --no-sync >"$directory/initdb.log" 2>&1 ||
        { cat "$directory/initdb.log" >&2; exit 1; }
)

# A port that nobody has; somebody may have taken it a moment later, so several are tried.
free_port() {
    python3 -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])'
}

start_postgres() {
    port=$(free_port)
    options="-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories=$directory
        -c max_connections=400 -c fsync=off -c full_page_writes=off -c synchronous_commit=off
        -c autovacuum=off -c shared_buffers=64MB -c max_wal_size=512MB -c log_min_messages=fatal"
    # shellcheck disable=SC2086 # one line
    options=$(echo $options)
    postgres="postgres://guarita@127.0.0.1:$port/postgres"
    (cd "$directory" && as_server pg_ctl --pgdata="$directory/data" --log="$directory/data/server.log" \
        --options="$options" --wait --silent start >/dev/null)
}

start_redis() {
    port=$(free_port)
    redis-server --port "$port" --bind 127.0.0.1 --save '' --appendonly no --maxclients 4000 \
        >"$directory/redis.log" 2>&1 &
    redis=$!
    until redis-cli -p "$port" ping 2>/dev/null | grep -q PONG; do
        kill -0 "$redis" 2>/dev/null || return 1
        sleep 0.1
    done
}

# Runs until it succeeds: `several_times COMMAND LOG`.
several_times() {
    attempt=0
    until "$1"; do
        attempt=$((attempt + 1))
        if [ "$attempt" -ge 5 ]; then
            cat "$2" >&2
            exit 1
        fi
    done
}
several_times start_postgres "$directory/data/server.log"
several_times start_redis "$directory/redis.log"

status=0
TEST_DATABASE=postgres TEST_POSTGRES="$postgres" TEST_REDIS="redis://127.0.0.1:$port" \
    "$@" || status=$?
exit "$status"
