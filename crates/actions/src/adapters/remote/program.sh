# Windlass's program on a host: `sh -c PROGRAM windlass OPERATION FOLDER ARGUMENT...`. POSIX, for dash and busybox too.
# What it keeps in FOLDER/.windlass is written whole or not at all, on the disk before it is told, and by one at a time.
# Exit codes: 71 something is missing here, 72 busy, 73 what is kept is damaged, 74 the lock is not yours,
# 75 the fence is too low (standard output: the highest seen), 76 locked (standard output: the lock).
set -eu
umask 077
operation=$1 folder=$2
shift 2
home=$folder/.windlass

fail() { # CODE TEXT...
    code=$1
    shift
    printf '%s\n' "$*" >&2
    exit "$code"
}

flush() { # FILE: onto the disk; an older sync knows no files and writes everything
    sync "$1" 2>/dev/null || sync
}

save() { # FILE: standard input into it
    cat >"$1.new.$$"
    flush "$1.new.$$"
    mv -f "$1.new.$$" "$1"
    flush "${1%/*}"
}

holds() { # DESCRIPTOR SECONDS: until nobody else has its lock
    command -v flock >/dev/null 2>&1 || fail 71 "flock is not installed on this host (Debian: util-linux)"
    patience=$(($(date +%s) + $2))
    until flock -n "$1"; do
        [ "$(date +%s)" -lt "$patience" ] || fail 72 "another Windlass is at work in $folder"
        sleep 0.1 2>/dev/null || sleep 1
    done
}

alone() {
    mkdir -p "$home"
    exec 9>"$home/mutex"
    holds 9 20
    trap 'rm -f "$home"/*.new.$$' EXIT
}

number() { # TEXT: it, when it is a number
    case $1 in
        '' | *[!0-9]*) fail 73 "$home holds \`$1\` where a number belongs: look at it, and remove the file" ;;
    esac
    printf '%s\n' "$1"
}

seen() { # the highest fence ever seen here
    if [ -f "$home/fence" ]; then number "$(cat "$home/fence")"; else echo 0; fi
}

fenced() { # FENCE: refuses a lower one than was ever seen, and remembers a higher one
    highest=$(seen)
    if [ "$1" -lt "$highest" ]; then
        printf '%s\n' "$highest"
        exit 75
    fi
    [ "$1" -eq "$highest" ] || printf '%s\n' "$1" | save "$home/fence"
}

read_lock() { # sets owner, epoch, fence, until, since, person; fails when there is no lock
    owner='' epoch=0 fence=0 until=0 since=0 person=''
    [ -f "$home/lock" ] || return 1
    { read -r owner && read -r epoch && read -r fence && read -r until && read -r since && read -r person; } \
        <"$home/lock" || fail 73 "$home/lock is damaged: look at it, and remove it"
    epoch=$(number "$epoch") || exit 73
    fence=$(number "$fence") || exit 73
    until=$(number "$until") || exit 73
}

tell_lock() {
    [ ! -f "$home/lock" ] || sed 's/^/lock /' "$home/lock"
}

write_lock() { # OWNER EPOCH FENCE UNTIL SINCE PERSON
    printf '%s\n' "$@" | save "$home/lock"
}

compose() { # SECONDS RELEASE FILES... -- ARGUMENTS...: one at a time, also when whoever started the last one is gone
    seconds=$1 release=$home/releases/$2
    shift 2
    exec 8>"$home/work"
    holds 8 "$seconds"
    # What waited may have been overtaken meanwhile.
    exec 9>"$home/mutex"
    holds 9 20
    fenced "$given"
    exec 9>&-
    cd "$folder"
    count=$#
    while [ "$1" != -- ]; do
        set -- "$@" -f "$release/$1"
        shift
        count=$((count - 1))
    done
    # Behind the `--` stand the arguments, and then the files as options: these belong before them.
    shift
    count=$((count - 1))
    while [ "$count" -gt 0 ]; do
        set -- "$@" "$1"
        shift
        count=$((count - 1))
    done
    exec docker compose --ansi never --project-directory "$folder" "$@"
}

clock() { # the time here, in nanoseconds since 1970
    time=$(date +%s%N)
    case $time in *[!0-9]*) time=$(date +%s)000000000 ;; esac
    printf 'now %s\n' "$time"
}

service() { # PROJECT SERVICE: the ids of its containers, those of every service for `*`
    set -- "$2" --filter "label=com.docker.compose.project=$1" --filter label=com.docker.compose.oneoff=False
    if [ "$1" = '*' ]; then
        shift
    else
        wanted=$1
        shift
        set -- "$@" --filter "label=com.docker.compose.service=$wanted"
    fi
    docker ps --all --quiet --no-trunc "$@"
}

case $operation in
    look)
        # Everything that is kept, without changing anything.
        printf 'now %s\n' "$(date +%s)"
        [ -d "$home" ] || exit 0
        printf 'fence %s\n' "$(seen)"
        tell_lock
        [ ! -f "$home/record.json" ] || sed 's/^/record /' "$home/record.json"
        [ ! -f "$home/history" ] || tail -n 200 "$home/history" | sed 's/^/history /'
        [ ! -f "$home/breaks" ] || tail -n 5 "$home/breaks" | sed 's/^/break /'
        ;;
    lock)
        # RUN EPOCH PERSON SECONDS FENCE: takes the environment's lock, with a fence above every one seen and FENCE.
        alone
        now=$(date +%s)
        if read_lock; then
            if [ "$owner" = "$1" ]; then
                if [ "$epoch" -gt "$2" ]; then
                    tell_lock
                    exit 74
                fi
                if [ "$epoch" -eq "$2" ]; then
                    write_lock "$1" "$2" "$fence" "$((now + $4))" "$since" "$person"
                    printf '%s\n' "$fence"
                    exit 0
                fi
            elif [ "$until" -gt "$now" ]; then
                tell_lock
                exit 76
            fi
        fi
        fence=$(seen)
        [ "$fence" -ge "$5" ] || fence=$5
        fence=$((fence + 1))
        printf '%s\n' "$fence" | save "$home/fence"
        write_lock "$1" "$2" "$fence" "$((now + $4))" "$now" "$3"
        printf '%s\n' "$fence"
        ;;
    renew)
        # RUN EPOCH SECONDS
        alone
        read_lock && [ "$owner" = "$1" ] && [ "$epoch" -eq "$2" ] || exit 74
        write_lock "$owner" "$epoch" "$fence" "$(($(date +%s) + $3))" "$since" "$person"
        ;;
    unlock)
        # RUN EPOCH: only one's own lock is given back.
        alone
        read_lock && [ "$owner" = "$1" ] && [ "$epoch" -eq "$2" ] || exit 0
        rm -f "$home/lock"
        flush "$home"
        ;;
    break)
        # PERSON REASON: whoever has the lock is fenced off.
        alone
        tell_lock
        fence=$(seen)
        fence=$((fence + 1))
        printf '%s\n' "$fence" | save "$home/fence"
        rm -f "$home/lock"
        printf '%s %s: %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$1" "$2" >>"$home/breaks"
        flush "$home"
        printf 'fence %s\n' "$fence"
        ;;
    raise)
        # FENCE
        alone
        fenced "$1"
        ;;
    record)
        # FENCE KEEP: standard input is the record; with KEEP it enters the history too.
        alone
        fenced "$1"
        save "$home/record.json"
        if [ "$2" = keep ]; then
            { [ ! -f "$home/history" ] || tail -n 199 "$home/history"; cat "$home/record.json"; } | save "$home/history"
        fi
        ;;
    forget)
        # FENCE: nothing is deployed any more.
        alone
        fenced "$1"
        rm -f "$home/record.json"
        flush "$home"
        ;;
    check)
        # MEBIBYTES: whether there is what a deployment needs. Prints nothing when there is.
        mkdir -p "$folder" || fail 71 "the folder $folder cannot be made"
        [ -w "$folder" ] || fail 71 "the folder $folder may not be written"
        command -v flock >/dev/null 2>&1 || fail 71 "flock is not installed (Debian: util-linux)"
        command -v docker >/dev/null 2>&1 || fail 71 "docker is not installed"
        root=$(docker info --format '{{.DockerRootDir}}' 2>&1) || fail 71 "docker does not answer: $root"
        docker compose version >/dev/null 2>&1 || fail 71 "docker has no compose (Debian: docker-compose-plugin)"
        for place in "$folder" "$root"; do
            free=$(df -Pk "$place" 2>/dev/null | awk 'NR == 2 { print $4 }')
            case $free in
                '' | *[!0-9]*) ;;
                *)
                    [ "$free" -ge "$(($1 * 1024))" ] \
                        || fail 71 "no space: $place has $((free / 1024)) MiB left, and $1 MiB are needed"
                    ;;
            esac
        done
        ;;
    put)
        # FENCE RELEASE FILE: standard input is the file.
        alone
        fenced "$1"
        file=$home/releases/$2/$3
        mkdir -p "${file%/*}"
        save "$file"
        ;;
    compose)
        # FENCE SECONDS RELEASE FILES... -- ARGUMENTS...
        mkdir -p "$home"
        given=$1
        shift
        compose "$@"
        ;;
    digests)
        # IMAGES...: the digests each is known by here, a line each.
        for image in "$@"; do
            docker image inspect --format '{{json .RepoDigests}}' "$image"
        done
        ;;
    containers)
        # PROJECT: a line of JSON for each container.
        ids=$(docker ps --all --quiet --no-trunc --filter "label=com.docker.compose.project=$1")
        # One that goes away in between is not there.
        # shellcheck disable=SC2086
        [ -z "$ids" ] || docker inspect --format '{"id":{{json .Id}},"service":{{json (index .Config.Labels "com.docker.compose.service")}},"once":{{json (index .Config.Labels "com.docker.compose.oneoff")}},"state":{{json .State.Status}},"exit":{{json .State.ExitCode}},"restarts":{{json .RestartCount}},"started":{{json .State.StartedAt}},"image":{{json .Config.Image}}{{if .State.Health}},"health":{{json .State.Health.Status}}{{end}}}' $ids 2>/dev/null || true
        ;;
    logs)
        # CONTAINER
        docker logs --tail 10 "$1" 2>&1
        ;;
    lines)
        # PROJECT SERVICE SECONDS BYTES: the time here, when each container was made, and what they said since then, each
        # line behind its time; `end` when that was all.
        clock
        ids=$(service "$1" "$2")
        # shellcheck disable=SC2086
        [ -z "$ids" ] || docker inspect --format 'container {{.Created}}' $ids
        {
            for id in $ids; do
                docker logs --timestamps --since "${3}s" "$id" 2>&1 || exit
            done
            printf '\nend\n'
        } | head -c "$4"
        ;;
    restarts)
        # PROJECT SERVICE: the time here, and of each container its id, when it was made and started, how often restarted.
        clock
        ids=$(service "$1" "$2")
        # shellcheck disable=SC2086
        [ -z "$ids" ] || docker inspect --format '{{.Id}} {{.Created}} {{.State.StartedAt}} {{.RestartCount}}' $ids
        ;;
    *) fail 64 "no operation $operation" ;;
esac
