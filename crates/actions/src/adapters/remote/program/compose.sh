# The service itself: its files, and what docker compose makes of them.

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

# RELEASE FILES...: what is kept, and, where that release is and a project is recorded, what is running: nothing of it
# where docker does not tell. Changes nothing.
do_survey() {
    tell_kept
    [ -d "$home/releases/$1" ] && [ -f "$home/record.json" ] && [ ! -f "$home/pending" ] || exit 0
    # What was before stands last in a record, and the images, named by services, behind the project.
    project=$(sed -n 's/"previous":.*//; s/"images":.*//; s/.*"project":"\([^"]*\)".*/\1/p' "$home/record.json")
    [ -z "$project" ] || running "$project" "$@" || true
}

# FENCE MEBIBYTES RELEASE [FILE BYTES]...: standard input is these files, one behind the other. With MEBIBYTES it is
# looked first whether there is what a deployment needs.
do_put() {
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
}

# FENCE PROJECT RELEASE FILES...: standard input is the record, written unless there is none; then what is running.
do_begin() {
    alone
    fenced "$1"
    [ "$bytes" -eq 0 ] || accept "$home/record.json"
    exec 9>&-
    shift
    running "$@"
}

# FENCE SECONDS RELEASE FILES... -- ARGUMENTS...: standard input, when there is any, is the file that pins images.
do_compose() {
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
}

# FENCE SECONDS COUNT RELEASE FILES... IMAGES...: pulls the images of COUNT files, when some are named, and tells the
# digests that each is known by here, a line each; then the fence and the lock, as they are after all that.
do_resolve() {
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
}

# PROJECT
do_containers() {
    containers "$1"
}

# CONTAINER
do_logs() {
    docker logs --tail 10 "$1" 2>&1
}
