# Windlass's program beside a database: `sh -c PROGRAM windlass OPERATION FOLDER ARGUMENT...`. POSIX, for dash and busybox.
# Standard input begins with variables, NAME=VALUE on a line each, ended by an empty line: what is secret stands in no
# command line. What is kept in FOLDER is written whole or not at all, and is on the disk before it is told.
# Exit codes: 65 what was asked for cannot be restored, 71 something is missing here, 72 busy.
set -eu
umask 077
cd /
operation=$1 folder=$2
shift 2

while IFS= read -r line && [ -n "$line" ]; do
    export "${line?}"
done

newest=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -t/ -k5 -n | tail -n 1)
PATH=${WINDLASS_PROGRAMS:+$WINDLASS_PROGRAMS:}${newest:+$newest:}$PATH

fail() { # CODE TEXT...
    code=$1
    shift
    printf '%s\n' "$*" >&2
    exit "$code"
}

needs() { # PROGRAM PACKAGE
    command -v "$1" >/dev/null 2>&1 || fail 71 "$1 is not installed (Debian: $2)"
}

flush() { # FILE: onto the disk; an older sync knows no files and writes everything
    sync "$1" 2>/dev/null || sync
}

alone() { # one at a time works in the folder; whatever an earlier one left half-done is removed
    mkdir -p "$folder" 2>/dev/null || fail 71 "the folder $folder cannot be made by $(id -un)"
    [ -w "$folder" ] || fail 71 "the folder $folder may not be written by $(id -un)"
    needs flock util-linux
    exec 9>"$folder/.lock"
    patience=$(($(date +%s) + ${WINDLASS_PATIENCE:-600}))
    until flock -n 9; do
        [ "$(date +%s)" -lt "$patience" ] || fail 72 "another Windlass is at work in $folder"
        sleep 0.2 2>/dev/null || sleep 1
    done
    trap clean EXIT
    trap 'exit 143' TERM INT HUP
    for left in "$folder"/.scratch.*; do
        [ ! -d "$left" ] || remove "$left"
    done
    rm -f "$folder"/*.part
}

clean() {
    [ -z "${scratch-}" ] || remove "$scratch"
    [ -z "${doomed-}" ] || drop "$doomed" || true
    [ -z "${part-}" ] || rm -f "$part"
}

remove() { # SCRATCH: its server, its socket and its files
    [ ! -f "$1/data/postmaster.pid" ] || pg_ctl -D "$1/data" -m immediate -w stop >/dev/null 2>&1 9>&- || true
    if [ -f "$1/sockets" ]; then
        sockets=$(cat "$1/sockets")
        case $sockets in /tmp/windlass.*) rm -rf "$sockets" ;; esac
    fi
    rm -rf "$1"
}

sql() { # DATABASE ARGUMENTS...
    database=$1
    shift
    psql -X -q -A -t -v ON_ERROR_STOP=1 -d "$database" "$@" 9>&-
}

drop() { # DATABASE
    printf 'drop database if exists :"name" with (force);\n' | sql "$WINDLASS_MAINTENANCE" -v name="$1"
}

make() { # DATABASE MAINTENANCE
    printf 'create database :"name" template template0;\n' | sql "$2" -v name="$1"
}

space() { # BYTES: so many must be free in the folder
    free=$(df -Pk "$folder" 2>/dev/null | awk 'NR == 2 { print $4 }')
    case $free in '' | *[!0-9]*) return 0 ;; esac
    [ "$free" -ge "$(($1 / 1024))" ] \
        || fail 71 "no space: $folder has $((free / 1024)) MiB left, and about $(($1 / 1048576 + 1)) MiB are needed"
}

weigh() { # FILE
    printf 'size %s\n' "$(($(wc -c <"$1")))"
    if command -v sha256sum >/dev/null 2>&1; then
        printf 'sha256 %s\n' "$(sha256sum <"$1" | cut -d' ' -f1)"
    else
        needs openssl openssl
        printf 'sha256 %s\n' "$(openssl dgst -sha256 <"$1" | sed 's/.* //')"
    fi
}

dump() { # DATABASE FILE
    needs pg_dump postgresql-client
    part=$2.part
    pg_dump -Fc --no-password -d "$1" -f "$part" 9>&- || fail 1 "pg_dump failed; nothing of it was kept"
    pg_restore -l "$part" >/dev/null || fail 1 "pg_dump ended well, and what it wrote cannot be read: look at the disk of $folder"
    flush "$part"
    mv -f "$part" "$2"
    flush "$folder"
    part=''
}

begin() { # a place for a server apart from every other
    [ "$(id -u)" != 0 ] || fail 71 "PostgreSQL's server does not run as root: name an \`account\` for the database's programs, such as postgres"
    needs initdb postgresql
    needs pg_ctl postgresql
    scratch=$folder/.scratch.$$
    mkdir "$scratch"
    sockets=$(mktemp -d /tmp/windlass.XXXXXX)
    printf '%s\n' "$sockets" >"$scratch/sockets"
    printf 'local all all trust\n' >"$sockets/hba"
    user=${PGUSER:-postgres}
}

serve() { # SETTINGS...: starts the server on scratch/data, reachable by nobody else, with nothing that works by itself
    pg_ctl -D "$scratch/data" -l "$scratch/log" -w -t 600 -o "-k $sockets -p 5432 -c listen_addresses='' \
-c hba_file=$sockets/hba -c fsync=off -c archive_mode=off -c ssl=off -c logging_collector=off \
-c shared_preload_libraries='' -c autovacuum=off $*" start >/dev/null 9>&- \
        || fail 65 "the server for the restored database did not start: $(tail -n 3 "$scratch/log" 2>/dev/null | tr '\n' ' ')"
}

turn() { # from here on the programs talk to the scratch server
    unset PGPASSWORD PGSERVICE
    export PGHOST="$sockets" PGPORT=5432 PGUSER="$user"
}

empty_server() { # NAME: a server with an empty database, and the roles that there are
    begin
    initdb -D "$scratch/data" -U "$user" --auth=trust --encoding=UTF8 --locale=C --no-sync >"$scratch/log" 2>&1 9>&- \
        || fail 71 "initdb failed: $(tail -n 3 "$scratch/log" | tr '\n' ' ')"
    # Policies name roles. Where the real server is gone, what needs them is told by pg_restore.
    roles=$(sql "$WINDLASS_MAINTENANCE" -c "select format('create role %I;', rolname) from pg_roles where rolname !~ '^pg_'" 2>/dev/null) || roles=''
    serve
    turn
    printf '%s\n' "$roles" | psql -X -q -d postgres >/dev/null 2>&1 9>&- || true
    make "$1" postgres
}

copied_server() { # STANZA SET: a server on what pgBackRest restores
    begin
    needs pgbackrest pgbackrest
    mkdir "$scratch/data"
    pgbackrest --stanza="$1" --set="$2" --pg1-path="$scratch/data" --type=immediate --target-action=promote \
        --archive-mode=off --log-level-console=warn --log-level-file=off restore >"$scratch/log" 2>&1 9>&- \
        || fail 65 "pgbackrest restore failed: $(tail -n 3 "$scratch/log" | tr '\n' ' ')"
    # Debian keeps this file elsewhere; what recovery must know stands in the control file.
    [ -f "$scratch/data/postgresql.conf" ] || : >"$scratch/data/postgresql.conf"
    settings=$(pg_controldata "$scratch/data" | awk -F': *' '
        /^max_connections setting/ { print "-c max_connections=" $2 }
        /^max_worker_processes setting/ { print "-c max_worker_processes=" $2 }
        /^max_wal_senders setting/ { print "-c max_wal_senders=" $2 }
        /^max_prepared_xacts setting/ { print "-c max_prepared_transactions=" $2 }
        /^max_locks_per_xact setting/ { print "-c max_locks_per_transaction=" $2 }' | tr '\n' ' ')
    serve "$settings -c wal_level=replica"
    turn
    patience=$(($(date +%s) + 600))
    until [ "$(sql postgres -c 'select pg_is_in_recovery()')" = f ]; do
        [ "$(date +%s)" -lt "$patience" ] || fail 65 "the restored server did not come to the end of its recovery in 10 minutes"
        sleep 0.2 2>/dev/null || sleep 1
    done
}

load() { # DATABASE FILE OPTIONS...
    database=$1 file=$2
    shift 2
    needs pg_restore postgresql-client
    pg_restore --exit-on-error --no-password "$@" -d "$database" "$file" 9>&- \
        || fail 65 "pg_restore could not restore $file"
}

ask() { # DATABASE QUERIES...: what each says
    database=$1
    shift
    for query in "$@"; do
        told=$(PGOPTIONS='-c default_transaction_read_only=on' sql "$database" -c "$query" 2>&1) || told="error $told"
        printf 'check %s\n' "$(printf %s "$told" | tr '\n' ' ')"
    done
}

swap() { # closes `name` to everybody, ends who is connected, and renames
    sql "$WINDLASS_MAINTENANCE" -v name="$name" -v new="$new" -v aside="$aside" <<'SQL'
select :'aside' <> '' as has_name \gset
\if :has_name
alter database :"name" allow_connections false;
select pg_terminate_backend(pid) from pg_stat_activity where datname in (:'name', :'new') and pid <> pg_backend_pid() \g /dev/null
begin;
alter database :"name" rename to :"aside";
\else
begin;
\endif
alter database :"new" rename to :"name";
alter database :"name" allow_connections true;
commit;
SQL
}

open_again() {
    [ -z "$aside" ] || printf 'alter database :"name" allow_connections true;\n' | sql "$WINDLASS_MAINTENANCE" -v name="$name" || true
}

case $operation in
    look)
        # Everything that is kept, without changing anything.
        printf 'now %s\n' "$(date +%s)"
        [ ! -f "$folder/catalogue.jsonl" ] || sed 's/^/entry /' "$folder/catalogue.jsonl"
        [ ! -f "$folder/proofs.jsonl" ] || sed 's/^/proof /' "$folder/proofs.jsonl"
        ;;
    keep)
        # FILE: standard input is one more line of it.
        alone
        part=$folder/$1.part
        { [ ! -f "$folder/$1" ] || cat "$folder/$1"; cat; } >"$part"
        flush "$part"
        mv -f "$part" "$folder/$1"
        flush "$folder"
        part=''
        ;;
    weigh)
        # FILE
        [ -f "$folder/$1" ] || exit 0
        weigh "$folder/$1"
        ;;
    dump)
        # DATABASE FILE BYTES: about so many are needed; 0 when nobody knows.
        alone
        needs psql postgresql-client
        bytes=$(sql "$1" -c 'select pg_database_size(current_database())')
        [ "$3" -gt 0 ] || set -- "$1" "$2" "$((bytes / 4))"
        space "$3"
        printf 'taken %s\nbytes %s\n' "$(date +%s)" "$bytes"
        dump "$1" "$folder/$2"
        weigh "$folder/$2"
        ;;
    prove)
        # WHERE FILE DATABASE BYTES QUERIES...: restores the file, asks, and leaves nothing.
        alone
        where=$1 file=$2 name=$3
        space "$4"
        shift 4
        case $where in
            server)
                empty_server "$name"
                target=$name
                ;;
            *)
                needs psql postgresql-client
                doomed=$where
                target=$where
                drop "$doomed"
                make "$doomed" "$WINDLASS_MAINTENANCE"
                ;;
        esac
        load "$target" "$file" --no-owner --no-privileges --no-publications --no-subscriptions
        ask "$target" "$@"
        ;;
    prove-copy)
        # STANZA SET DATABASE QUERIES...: the same of a backup of pgBackRest's.
        alone
        stanza=$1 set=$2 name=$3
        shift 3
        copied_server "$stanza" "$set"
        ask "$name" "$@"
        ;;
    dump-copy)
        # STANZA SET DATABASE FILE: a backup of pgBackRest's as a file.
        alone
        copied_server "$1" "$2"
        dump "$3" "$folder/$4"
        ;;
    load)
        # DATABASE FILE
        load "$1" "$2"
        ;;
    swap)
        # NAME NEW ASIDE: NEW becomes NAME, and NAME becomes ASIDE, to which nobody can connect: both or nothing. Where
        # there is no NAME, ASIDE is empty.
        name=$1 new=$2 aside=$3
        trap 'open_again' EXIT
        trap 'exit 143' TERM INT HUP
        tries=0
        until told=$(swap 2>&1); do
            tries=$((tries + 1))
            [ "$tries" -lt 3 ] || fail 1 "the databases could not be renamed, and all is as it was: $told"
        done
        trap - EXIT
        ;;
    query)
        # DATABASE NAME=VALUE...: standard input is SQL, in which the values are variables of psql's.
        needs psql postgresql-client
        database=$1
        shift
        count=$#
        while [ "$count" -gt 0 ]; do
            set -- "$@" -v "$1"
            shift
            count=$((count - 1))
        done
        sql "$database" "$@" -f -
        ;;
    store)
        # FILE NAME TAG SECONDS: the file into restic's repository, as of then, and its checksum with it.
        alone
        needs restic restic
        sum=$(weigh "$folder/$1" | sed -n 's/^sha256 //p')
        stamp=$(date -u -d "@$4" '+%Y-%m-%d %H:%M:%S')
        TZ=UTC restic backup --quiet --json --stdin --stdin-filename "$2" --time "$stamp" --tag windlass --tag "$3" --tag "sha256=$sum" \
            <"$folder/$1" 9>&-
        rm -f "$folder/$1"
        ;;
    fetch)
        # FILE NAME SNAPSHOT: a file out of restic's repository.
        alone
        needs restic restic
        part=$folder/$1.part
        restic --no-lock dump "$3" "/$2" >"$part" 9>&- || fail 65 "restic could not give the snapshot $3"
        mv -f "$part" "$folder/$1"
        part=''
        weigh "$folder/$1"
        ;;
    forget)
        # FILE
        rm -f "$folder/$1"
        ;;
    call)
        # PROGRAM ARGUMENTS...
        needs "$1" "$1"
        exec "$@"
        ;;
    script)
        # TEXT: a script of the configuration's
        mkdir -p "$folder"
        exec bash -euo pipefail -c "$1" windlass
        ;;
    *) fail 64 "no operation $operation" ;;
esac
