# Windlass's program on a host: `sh -c PROGRAM windlass OPERATION FOLDER BYTES ARGUMENT...`. POSIX, for dash and
# busybox too. BYTES is how many come on standard input: less, when whoever sends them is killed meanwhile.
# What it keeps in FOLDER/.windlass is written whole or not at all, on the disk before it is told, and by one at a time.
# Exit codes: 71 something is missing here, 72 busy, 73 what is kept is damaged, 74 the lock is not yours,
# 75 the fence is too low (standard output: the highest seen), 76 locked (standard output: the lock), 77 what was
# rendered is refused, 78 the file was changed meanwhile, 79 not all that was sent has come.
set -eu
umask 077
operation=$1 folder=$2 bytes=$3
shift 3
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

take() { # FILE: standard input into it, when all of it comes
    cat >"$1"
    [ "$(wc -c <"$1")" -eq "$bytes" ] || fail 79 "not all that was sent to $home has come"
}

accept() { # FILE: standard input into it, whole or not at all
    take "$given"
    flush "$given"
    mv -f "$given" "$1"
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
    given=$home/given.new.$$
    trap 'rm -f "$home"/*.new.$$' EXIT
    finish_pending
}

finish_pending() { # a history with a new record at its end, and that record as what is there: both, or neither
    [ -f "$home/pending" ] || return 0
    tail -n 1 "$home/pending" | save "$home/record.json"
    mv -f "$home/pending" "$home/history"
    flush "$home"
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

tell_kept() { # everything that is kept but the history, without changing anything
    printf 'now %s\n' "$(date +%s)"
    [ -d "$home" ] || return 0
    printf 'fence %s\n' "$(seen)"
    tell_lock
    # What is pending is decided: it only has not reached its places yet, and may do so while it is read.
    if [ -f "$home/pending" ] && pending=$(tail -n 1 "$home/pending" 2>/dev/null); then
        printf 'record %s\n' "$pending"
    elif [ -f "$home/record.json" ]; then
        sed 's/^/record /' "$home/record.json"
    fi
}

tell_history() { # what was deployed to its end, and which locks were broken
    [ -d "$home" ] || return 0
    if [ -f "$home/pending" ] && history=$(cat "$home/pending" 2>/dev/null); then
        printf '%s\n' "$history" | sed 's/^/history /'
    elif [ -f "$home/history" ]; then
        tail -n 200 "$home/history" | sed 's/^/history /'
    fi
    [ ! -f "$home/breaks" ] || tail -n 5 "$home/breaks" | sed 's/^/break /'
}

write_lock() { # OWNER EPOCH FENCE UNTIL SINCE PERSON
    printf '%s\n' "$@" | save "$home/lock"
}

compose() { # SECONDS RELEASE FILES... -- ARGUMENTS...: one at a time, also when whoever started the last one is gone
    exec 8>"$home/work"
    holds 8 "$1"
    shift
    # What waited may have been overtaken meanwhile.
    exec 9>"$home/mutex"
    holds 9 20
    fenced "$fence"
    exec 9>&-
    compose_files "$@"
}

compose_files() { # RELEASE FILES... -- ARGUMENTS...: becomes docker compose
    release=$home/releases/$1
    shift
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

pull() { # SECONDS RELEASE FILES...
    compose "$@" -- pull --quiet
}

containers() { # PROJECT: a line of JSON for each container
    ids=$(docker ps --all --quiet --no-trunc --filter "label=com.docker.compose.project=$1") || return
    # One that goes away in between is not there.
    # shellcheck disable=SC2086
    [ -z "$ids" ] || docker inspect --format '{"id":{{json .Id}},"service":{{json (index .Config.Labels "com.docker.compose.service")}},"once":{{json (index .Config.Labels "com.docker.compose.oneoff")}},"state":{{json .State.Status}},"exit":{{json .State.ExitCode}},"restarts":{{json .RestartCount}},"started":{{json .State.StartedAt}},"image":{{json .Config.Image}}{{if .State.Health}},"health":{{json .State.Health.Status}}{{end}}}' $ids 2>/dev/null || true
}

running() { # PROJECT RELEASE FILES...: what compose makes of the files now, and the project's containers
    project=$1
    shift
    made=''
    [ $# -eq 1 ] || made=$(compose_files "$@" -- config --format json) || return
    found=$(containers "$project") || return
    printf '%s\n' "$made" | sed 's/^/config /'
    [ -z "$found" ] || printf '%s\n' "$found" | sed 's/^/container /'
    echo "running end"
}

ready() { # MEBIBYTES: whether there is what a deployment needs
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
}

talk() { # ADDRESS: standard input to a socket (/PATH) or to HOST:PORT; what is answered until the other side ends
    case $1 in
        /*)
            [ -S "$1" ] || fail 71 "there is no socket $1: the proxy is not running, or does not make it"
            [ -w "$1" ] || fail 71 "the socket $1 may not be used by $(id -un)"
            kind=UNIX-CONNECT
            ;;
        *) kind=TCP ;;
    esac
    if command -v socat >/dev/null 2>&1; then
        socat -t 10 - "$kind:$1,shut-none"
    elif nc -h 2>&1 | grep -q -e '-U'; then
        case $1 in
            /*) nc -w 10 -U "$1" ;;
            *) nc -w 10 "${1%:*}" "${1##*:}" ;;
        esac
    elif command -v perl >/dev/null 2>&1; then
        perl -e '
use IO::Socket::UNIX; use IO::Socket::INET;
my $to = shift; alarm 10; local $/;
my $it = $to =~ m{^/} ? IO::Socket::UNIX->new(Peer => $to) : IO::Socket::INET->new(PeerAddr => $to);
die "$!\n" unless $it;
$it->autoflush(1); print $it scalar <STDIN>; print scalar <$it>;' "$1"
    elif command -v python3 >/dev/null 2>&1; then
        python3 -c '
import socket, sys
to = sys.argv[1]
try:
    if to.startswith("/"):
        it = socket.socket(socket.AF_UNIX)
        it.settimeout(10)
        it.connect(to)
    else:
        host, port = to.rsplit(":", 1)
        it = socket.create_connection((host.strip("[]"), int(port)), 10)
    it.sendall(sys.stdin.buffer.read())
    while True:
        part = it.recv(65536)
        if not part:
            break
        sys.stdout.buffer.write(part)
except OSError as error:
    sys.exit(str(error))' "$1"
    else
        fail 71 "nothing here can talk to $1: install socat, nc (Debian: netcat-openbsd), perl or python3"
    fi || fail 71 "nobody answers at $1: the proxy is not running"
}

whole() { # FILE: sets file to it with no links left, around to its folder, and apart to where its copies are kept;
    # nobody else renders it meanwhile
    [ -f "$1" ] || fail 71 "there is no file $1"
    file=$(readlink -f "$1")
    around=${file%/*}/
    [ -r "$file" ] && [ -w "$file" ] && [ -w "$around" ] || fail 71 "$file may not be changed by $(id -un)"
    apart=$home/rendered-$(printf '%s' "$file" | tr -c 'A-Za-z0-9.\n' '-')
    exec 7<"$around"
    holds 7 20
}

place() { # FROM: its content into the file, with the owner and the rights that the file has
    new=$around.windlass-new.$$
    cp -p "$file" "$new"
    cat "$1" >"$new" || { rm -f "$new"; fail 71 "$file cannot be written"; }
    flush "$new"
    mv -f "$new" "$file"
    flush "$around"
}

first() { # COUNT WORDS...: the first COUNT words as a command, when there are any
    count=$1
    shift
    rest=$(($# - count))
    while [ "$count" -gt 0 ]; do
        set -- "$@" "$1"
        shift
        count=$((count - 1))
    done
    shift "$rest"
    [ "$#" -eq 0 ] || "$@"
}

later() { # COUNT WORDS...: the others
    shift "$(($1 + 1))"
    "$@"
}

workers() { # the workers of nginx that take requests: master and worker, a line each
    grep -ls '[n]ginx: worker process' /proc/[0-9]*/cmdline 2>/dev/null | while read -r found; do
        ! grep -qs '[n]ginx: worker process is shutting down' "$found" || continue
        awk '{ print $4 " " $1 }' "${found%cmdline}stat" 2>/dev/null || true
    done
}

of_configuration() { # WORDS...: of the workers on standard input, those whose master has the file that WORDS name by
    # `-c`, where one says so: of several nginx here, another one may turn without having been told
    all=$(cat) configuration=''
    while [ "$#" -gt 1 ]; do
        [ "$1" != -c ] || configuration=$2
        shift
    done
    own=$(printf '%s\n' "$all" | while read -r master worker; do
        ! tr '\0' ' ' <"/proc/$master/cmdline" 2>/dev/null | grep -qF -e " -c $configuration " \
            || printf '%s %s\n' "$master" "$worker"
    done)
    printf '%s\n' "${own:-$all}"
}

turned() { # WORKERS: waits until those of one of the masters take no requests any more
    [ -n "$1" ] || return 0
    patience=$(($(date +%s) + 5))
    while [ "$(date +%s)" -le "$patience" ]; do
        now=$(workers)
        old=$(printf '%s\n' "$1" | grep -Fx -e "$now" || true)
        for master in $(printf '%s\n' "$1" | cut -d ' ' -f 1 | sort -u); do
            printf '%s\n' "$old" | grep -q "^$master " || return 0
        done
        sleep 0.05 2>/dev/null || sleep 1
    done
    echo "nginx was told to read its configuration, and goes on with what it had: see its error log" >&2
    return 1
}

settle() { # what an interrupted rendering left goes back, unless somebody has changed the file since
    if [ -f "$apart.before" ]; then
        ! cmp -s "$file" "$apart.after" || place "$apart.before"
        rm -f "$apart.before"
    fi
    rm -f "$apart.after"
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
        tell_kept
        tell_history
        ;;
    survey)
        # RELEASE FILES...: what is kept, and, where that release is and a project is recorded, what is running: nothing of
        # it where docker does not tell. Changes nothing.
        tell_kept
        [ -d "$home/releases/$1" ] && [ -f "$home/record.json" ] && [ ! -f "$home/pending" ] || exit 0
        # What was before stands last in a record, and the images, named by services, behind the project.
        project=$(sed -n 's/"previous":.*//; s/"images":.*//; s/.*"project":"\([^"]*\)".*/\1/p' "$home/record.json")
        [ -z "$project" ] || running "$project" "$@" || true
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
        # FENCE [look]: with `look` everything that is kept is told then.
        alone
        fenced "$1"
        if [ $# -gt 1 ]; then
            tell_kept
            tell_history
        fi
        ;;
    record)
        # FENCE KEEP: standard input is the record; with KEEP it enters the history too.
        alone
        fenced "$1"
        if [ "$2" = keep ]; then
            take "$given"
            { [ ! -f "$home/history" ] || tail -n 199 "$home/history"; cat "$given"; } | save "$home/pending"
            finish_pending
        else
            accept "$home/record.json"
        fi
        ;;
    forget)
        # FENCE: nothing is deployed any more.
        alone
        fenced "$1"
        rm -f "$home/record.json"
        flush "$home"
        ;;
    keep)
        # FENCE NAME write|forget: standard input under a name.
        alone
        fenced "$1"
        if [ "$3" = write ]; then
            accept "$home/$2.json"
        else
            rm -f "$home/$2.json"
            flush "$home"
        fi
        ;;
    kept)
        # NAME
        [ ! -f "$home/$1.json" ] || cat "$home/$1.json"
        ;;
    ask)
        # ADDRESS: what is answered to standard input, which changes nothing.
        talk "$1"
        ;;
    tell)
        # FENCE ADDRESS: what is answered to standard input.
        alone
        fenced "$1"
        take "$given"
        talk "$2" <"$given"
        ;;
    show)
        # FILE
        [ -f "$1" ] || fail 71 "there is no file $1"
        cat "$1" || fail 71 "$1 may not be read by $(id -un)"
        ;;
    settle)
        # FENCE FILE: the file, as it was before an interrupted rendering.
        alone
        fenced "$1"
        whole "$2"
        settle
        cat "$file"
        ;;
    render)
        # FENCE FILE SUM COUNT TEST... RELOAD...: standard input is the file, when it still has the SHA-256 SUM. COUNT
        # words test it, the others make the proxy read it. When one of the two fails, what was before is put back.
        alone
        fenced "$1"
        whole "$2"
        settle
        sum=$(sha256sum <"$file") || fail 71 "sha256sum is not installed on this host (Debian: coreutils)"
        [ "${sum%% *}" = "$3" ] || fail 78 "$file was changed meanwhile"
        count=$4
        shift 4
        take "$given"
        save "$apart.after" <"$given"
        save "$apart.before" <"$file"
        place "$apart.after"
        if ! told=$(first "$count" "$@" 2>&1 </dev/null 7<&- 9<&-); then
            settle
            fail 77 "$told"
        fi
        if [ "$#" -gt "$count" ]; then
            taking=$(workers | of_configuration "$@")
            if ! told=$(later "$count" "$@" 2>&1 </dev/null 7<&- 9<&- && turned "$taking" 2>&1); then
                settle
                fail 77 "$told"
            fi
        fi
        rm -f "$apart.before" "$apart.after"
        ;;
    leaving)
        # How many workers of nginx end what they have.
        grep -ls '[n]ginx: worker process is shutting down' /proc/[0-9]*/cmdline 2>/dev/null | wc -l
        ;;
    put)
        # FENCE MEBIBYTES RELEASE [FILE BYTES]...: standard input is these files, one behind the other. With MEBIBYTES it is
        # looked first whether there is what a deployment needs.
        if [ "$2" -gt 0 ]; then
            mkdir -p "$folder" || fail 71 "the folder $folder cannot be made"
            [ -w "$folder" ] || fail 71 "the folder $folder may not be written"
            ready "$2"
        fi
        alone
        fenced "$1"
        take "$given"
        release=$home/releases/$3
        shift 3
        at=1
        while [ $# -gt 0 ]; do
            file=$release/$1
            mkdir -p "${file%/*}"
            tail -c "+$at" "$given" | head -c "$2" | save "$file"
            at=$((at + $2))
            shift 2
        done
        ;;
    begin)
        # FENCE PROJECT RELEASE FILES...: standard input is the record, written unless there is none; then what is running.
        alone
        fenced "$1"
        [ "$bytes" -eq 0 ] || accept "$home/record.json"
        exec 9>&-
        shift
        running "$@"
        ;;
    compose)
        # FENCE SECONDS RELEASE FILES... -- ARGUMENTS...: standard input, when there is any, is the file that pins images.
        fence=$1
        shift
        if [ "$bytes" -gt 0 ]; then
            alone
            fenced "$fence"
            mkdir -p "$home/releases/$2"
            accept "$home/releases/$2/windlass-pins.yml"
            exec 9>&-
        fi
        mkdir -p "$home"
        compose "$@"
        ;;
    resolve)
        # FENCE SECONDS COUNT RELEASE FILES... IMAGES...: pulls the images of COUNT files, when some are named, and tells the
        # digests that each is known by here, a line each; then the fence and the lock, as they are after all that.
        fence=$1 seconds=$2 count=$3
        shift 3
        if [ $# -gt "$((count + 1))" ]; then
            mkdir -p "$home"
            (first "$((count + 3))" pull "$seconds" "$@")
        fi
        shift "$((count + 1))"
        for image in "$@"; do
            told=$(docker image inspect --format '{{json .RepoDigests}}' "$image")
            printf 'digests %s\n' "$told"
        done
        printf 'fence %s\n' "$(seen)"
        tell_lock
        ;;
    containers)
        # PROJECT
        containers "$1"
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
