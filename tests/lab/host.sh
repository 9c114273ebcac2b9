#!/usr/bin/env bash
# One host of the lab: its own name, /run, /root, sshd and dockerd. Started by up.sh inside fresh namespaces.
set -euo pipefail
name="$1" address="$2" work="$3" number="$4"
hostname "$name"
mount --make-rprivate /
mount -t tmpfs tmpfs /run
# A host starts without what ran on it before: dockerd would start what was left by a run that was cut off.
# Whoever was just killed may still be writing there, so once more.
rm -rf "$work/docker" "$work/srv" "$work/root" 2>/dev/null || { sleep 1 && rm -rf "$work/docker" "$work/srv" "$work/root"; }
mkdir -p /run/sshd "$work/root/.docker/cli-plugins" "$work/docker" "$work/srv" /srv
ln -sf "$(dirname "$work")/compose/docker-compose" "$work/root/.docker/cli-plugins/docker-compose"
mount --bind "$work/root" /root
mount --bind "$work/srv" /srv
dockerd --data-root "$work/docker" --exec-root /run/docker -H unix:///run/docker.sock -p /run/dockerd.pid \
    --default-ulimit nofile=20000:20000 --bip "172.2$number.0.1/24" --insecure-registry 10.231.7.1:5000 \
    >"$work/dockerd.log" 2>&1 &
exec /usr/sbin/sshd -D -f /dev/null -h "$work/hostkey" -E "$work/sshd.log" \
    -o Port=22 -o "ListenAddress=$address" -o "AuthorizedKeysFile=$work/authorized_keys" \
    -o UsePAM=no -o StrictModes=no -o PidFile=none -o MaxStartups=100 -o MaxSessions=100 \
    -o "SetEnv=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
