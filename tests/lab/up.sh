#!/usr/bin/env bash
# Starts the lab: hosts of their own (a network namespace each, with sshd and dockerd), and what they all reach: an
# image registry, a PostgreSQL, and a Prometheus that scrapes what `$WINDLASS_LAB/targets/*.json` names. `up.sh [HOSTS]`;
# two by default. Leaves `$WINDLASS_LAB/lab.env` and an ssh configuration beside it.
set -euo pipefail
# Whoever starts this may hold a lock on a descriptor, which servers that stay must not inherit.
exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
here="$(cd "$(dirname "$0")" && pwd)"
export WINDLASS_LAB="${WINDLASS_LAB:-/var/tmp/windlass-lab}"
LAB="$WINDLASS_LAB"
hosts="${1:-2}"
"$here/install.sh"
"$here/down.sh"
bridge=wlab0
ip link add "$bridge" type bridge
ip addr add 10.231.7.1/24 dev "$bridge"
ip link set "$bridge" up

[ -f "$LAB/key" ] || ssh-keygen -q -t ed25519 -N '' -C windlass-lab -f "$LAB/key"
: >"$LAB/known_hosts"
: >"$LAB/ssh_config"
: >"$LAB/pids"

cat >"$LAB/registry.yml" <<Y
version: 0.1
storage: { filesystem: { rootdirectory: $LAB/registry }, delete: { enabled: true } }
http: { addr: 10.231.7.1:5000 }
Y
mkdir -p "$LAB/registry"
setsid docker-registry serve "$LAB/registry.yml" >"$LAB/registry.log" 2>&1 &
echo $! >>"$LAB/pids"

# PostgreSQL does not run as root. Whoever is in the lab is trusted.
postgres="$(ls -d /usr/lib/postgresql/*/bin | tail -1)"
if [ ! -f "$LAB/postgres/ready" ]; then
    rm -rf "$LAB/postgres"
    install -d -o postgres -g postgres -m 700 "$LAB/postgres"
    runuser -u postgres -- "$postgres/initdb" -D "$LAB/postgres/data" -U postgres -A trust -E UTF8 --no-sync >"$LAB/initdb.log" 2>&1
    echo 'host all all 10.231.7.0/24 trust' >>"$LAB/postgres/data/pg_hba.conf"
    touch "$LAB/postgres/ready"
fi
setsid runuser -u postgres -- "$postgres/postgres" -D "$LAB/postgres/data" -h 10.231.7.1 -p 5432 \
    -c unix_socket_directories="$LAB/postgres" >"$LAB/postgres.log" 2>&1 &
echo $! >>"$LAB/pids"

rm -rf "$LAB/targets" "$LAB/prometheus"
mkdir -p "$LAB/targets"
cat >"$LAB/prometheus.yml" <<Y
global: { scrape_interval: 1s, scrape_timeout: 1s }
scrape_configs:
  - job_name: lab
    file_sd_configs: [{ files: ["$LAB/targets/*.json"], refresh_interval: 1s }]
Y
setsid prometheus --config.file="$LAB/prometheus.yml" --storage.tsdb.path="$LAB/prometheus" \
    --web.listen-address=10.231.7.1:9090 --log.level=warn >"$LAB/prometheus.log" 2>&1 &
echo $! >>"$LAB/pids"

for number in $(seq 1 "$hosts"); do
    name="lab$number" address="10.231.7.$((10 + number))" work="$LAB/host$number"
    mkdir -p "$work"
    [ -f "$work/hostkey" ] || ssh-keygen -q -t ed25519 -N '' -C "$name" -f "$work/hostkey"
    cp "$LAB/key.pub" "$work/authorized_keys"
    ip netns add "$name"
    ip link add "wlab-v$number" type veth peer name eth0 netns "$name"
    ip link set "wlab-v$number" master "$bridge" up
    ip -n "$name" addr add "$address/24" dev eth0
    ip -n "$name" link set lo up
    ip -n "$name" link set eth0 up
    ip -n "$name" route add default via 10.231.7.1
    setsid nsenter --net="/run/netns/$name" unshare --uts --mount --pid --ipc --fork --mount-proc --kill-child \
        "$here/host.sh" "$name" "$address" "$work" "$number" >"$work/host.log" 2>&1 &
    echo $! >>"$LAB/pids"
    echo "$address $(cut -d' ' -f1,2 "$work/hostkey.pub")" >>"$LAB/known_hosts"
    printf 'Host %s\n  HostName %s\n  User root\n  IdentityFile %s\n  IdentitiesOnly yes\n  UserKnownHostsFile %s\n  HostKeyAlias %s\n\n' \
        "$name" "$address" "$LAB/key" "$LAB/known_hosts" "$address" >>"$LAB/ssh_config"
done

wait_for() { # DESCRIPTION COMMAND...: until it succeeds, at most 20 s
    local what="$1" until=$((SECONDS + 20))
    shift
    until "$@" >/dev/null 2>&1; do
        if [ "$SECONDS" -ge "$until" ]; then
            echo "lab: $what did not come up" >&2
            tail -5 "$LAB"/*.log "$LAB"/host*/*.log >&2 || true
            exit 1
        fi
        sleep 0.05
    done
}
wait_for "the registry" curl -fsS http://10.231.7.1:5000/v2/
wait_for "PostgreSQL" "$postgres/pg_isready" -q -h 10.231.7.1
wait_for "Prometheus" curl -fsS http://10.231.7.1:9090/-/ready
for number in $(seq 1 "$hosts"); do
    wait_for "host lab$number" ssh -F "$LAB/ssh_config" "lab$number" docker info
done
{
    echo "WINDLASS_LAB=$LAB"
    echo "WINDLASS_LAB_HOSTS=$(seq -s, -f 'lab%g' 1 "$hosts")"
    echo "WINDLASS_LAB_SSH_CONFIG=$LAB/ssh_config"
    echo "WINDLASS_LAB_REGISTRY=10.231.7.1:5000"
    echo "WINDLASS_LAB_POSTGRES=10.231.7.1:5432"
    echo "WINDLASS_LAB_PROMETHEUS=http://10.231.7.1:9090"
} >"$LAB/lab.env"
echo "lab: $hosts hosts, a registry, PostgreSQL and Prometheus are up; see $LAB/lab.env"
