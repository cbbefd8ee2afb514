#!/usr/bin/env bash
# Starts private PostgreSQL and MariaDB servers for the tests and prints the variables that name them:
#   eval "$(integration/databases.sh start)"; …; integration/databases.sh stop "$MOGUL_TEST_DATABASES"
# Everything is in one scratch folder, on free ports of 127.0.0.1; `stop` ends what `start` started, by process id.
set -euo pipefail

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Runs a command as the given user where we are root: neither server runs as root.
as() {
    local user=$1
    shift
    if [ "$(id -u)" = 0 ]; then setpriv --reuid="$user" --regid="$user" --init-groups env HOME="$root" "$@"; else "$@"; fi
}

# Waits until a command succeeds, for at most 30 seconds, as long as the server with that process id lives.
await() {
    local pid=$1 log=$2
    shift 2
    for _ in $(seq 300); do
        if "$@" >/dev/null 2>&1; then return 0; fi
        if ! kill -0 "$pid" 2>/dev/null; then break; fi
        sleep 0.1
    done
    cat "$log" >&2
    return 1
}

start_postgres() {
    local bin port
    bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1)
    [ -n "$bin" ] || bin=$(dirname "$(command -v initdb)")
    port=$(free_port)
    install -d -m 700 "$root/postgres"
    if [ "$(id -u)" = 0 ]; then chown postgres: "$root/postgres"; fi
    as postgres "$bin/initdb" -D "$root/postgres/data" -U mogul -A trust -E UTF8 --locale=C >"$root/initdb.log" 2>&1
    as postgres "$bin/postgres" -D "$root/postgres/data" -p "$port" -k "$root/postgres" \
        -c listen_addresses=127.0.0.1 -c max_connections=200 >"$root/postgres.log" 2>&1 </dev/null &
    await $! "$root/postgres.log" "$bin/pg_isready" -q -h 127.0.0.1 -p "$port"
    # The server's own id, not that of the shell around it.
    head -1 "$root/postgres/data/postmaster.pid" >"$root/postgres.pid"
    echo "export MOGUL_TEST_POSTGRES_URL=postgres://mogul@127.0.0.1:$port/postgres"
}

start_mysql() {
    local port
    port=$(free_port)
    install -d -m 700 "$root/mysql"
    if [ "$(id -u)" = 0 ]; then chown mysql: "$root/mysql"; fi
    as mysql mariadb-install-db --no-defaults --datadir="$root/mysql/data" --auth-root-authentication-method=normal \
        --skip-test-db >"$root/mariadb-install.log" 2>&1
    as mysql mariadbd --no-defaults --datadir="$root/mysql/data" --socket="$root/mysql/socket" --port="$port" \
        --bind-address=127.0.0.1 --max-connections=200 --pid-file="$root/mysql/pid" \
        >"$root/mariadb.log" 2>&1 </dev/null &
    await $! "$root/mariadb.log" mariadb-admin --no-defaults --socket="$root/mysql/socket" -u root ping
    cp "$root/mysql/pid" "$root/mariadb.pid"
    mariadb --no-defaults --socket="$root/mysql/socket" -u root -e "create user mogul@'127.0.0.1' identified by 'mogul';
        grant all on *.* to mogul@'127.0.0.1'; create user mogul@localhost identified by 'mogul';
        grant all on *.* to mogul@localhost; create database mogul;"
    echo "export MOGUL_TEST_MYSQL_URL=mysql://mogul:mogul@127.0.0.1:$port/mogul"
}

stop() {
    local root=$1 name pid
    for name in postgres mariadb; do
        [ -f "$root/$name.pid" ] || continue
        pid=$(cat "$root/$name.pid")
        # Fast shutdown of PostgreSQL, ordinary shutdown of MariaDB.
        if [ "$name" = postgres ]; then kill -INT "$pid" || true; else kill -TERM "$pid" || true; fi
        for _ in $(seq 300); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    done
    rm -rf "$root"
}

case ${1:-} in
start)
    root=$(mktemp -d -t mogul-databases.XXXXXX)
    chmod 755 "$root"
    trap 'stop "$root"' ERR
    start_postgres
    start_mysql
    echo "export MOGUL_TEST_DATABASES=$root"
    ;;
stop)
    case ${2:-} in
    */mogul-databases.*) stop "$2" ;;
    *) echo "usage: $0 stop FOLDER, the MOGUL_TEST_DATABASES that start printed" >&2; exit 2 ;;
    esac
    ;;
*)
    echo "usage: $0 start | stop FOLDER" >&2
    exit 2
    ;;
esac
