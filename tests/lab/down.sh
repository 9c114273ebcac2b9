#!/usr/bin/env bash
# Stops the lab and takes its network down. What was downloaded stays.
set -uo pipefail
LAB="${WINDLASS_LAB:-/var/tmp/windlass-lab}"
if [ -f "$LAB/pids" ]; then
    while read -r pid; do
        # Killing the first process of a host's process namespace ends everything in it.
        pkill -KILL -P "$pid" 2>/dev/null
        kill -KILL "$pid" 2>/dev/null
    done <"$LAB/pids"
    rm -f "$LAB/pids"
fi
for name in $(ip netns list 2>/dev/null | awk '/^lab[0-9]/ { print $1 }'); do
    ip netns delete "$name"
done
for link in $(ip -o link show 2>/dev/null | grep -o 'wlab-v[0-9]*'); do
    ip link delete "$link" 2>/dev/null
done
ip link delete wlab0 2>/dev/null
exit 0
