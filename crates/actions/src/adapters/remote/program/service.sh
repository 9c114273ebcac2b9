# What the containers of a service tell.

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

# PROJECT SERVICE SECONDS BYTES: the time here, when each container was made, and what they said since then, each line
# behind its time; `end` when that was all.
do_lines() {
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
}

# PROJECT SERVICE: the time here, and of each container its id, when it was made and started, how often restarted.
do_restarts() {
    clock
    ids=$(service "$1" "$2")
    # shellcheck disable=SC2086
    [ -z "$ids" ] || docker inspect --format '{{.Id}} {{.Created}} {{.State.StartedAt}} {{.RestartCount}}' $ids
}
