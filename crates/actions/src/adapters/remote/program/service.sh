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

# PROJECT SERVICE: how many CPUs the host has; of each container its id, its state, and what of the CPUs it may use; of
# those that run what they use, as docker's own command reckons it; `end` when that was all.
do_usage() {
    cpus=$(docker info --format '{{.NCPU}}')
    printf 'cpus %s\n' "$cpus"
    ids=$(service "$1" "$2")
    if [ -n "$ids" ]; then
        limits='{{.HostConfig.NanoCpus}} {{.HostConfig.CpuQuota}} {{.HostConfig.CpuPeriod}} {{.HostConfig.CpusetCpus}}'
        # shellcheck disable=SC2086
        told=$(docker inspect --format "container {{.Id}} {{.State.Status}} $limits" $ids)
        printf '%s\n' "$told"
        running=$(printf '%s\n' "$told" | while read -r _ id state _; do
            [ "$state" != running ] || printf '%s\n' "$id"
        done)
        # shellcheck disable=SC2086
        [ -z "$running" ] || docker stats --no-stream --no-trunc \
            --format 'used {{.ID}} {{.CPUPerc}} {{.MemPerc}} {{.MemUsage}}' $running
    fi
    echo end
}
