#!/usr/bin/env bash
# Installs the real parts the lab is made of, from Debian's packages. Does nothing where they are there.
set -euo pipefail
LAB="${WINDLASS_LAB:-/var/tmp/windlass-lab}"
mkdir -p "$LAB"

if [ "$(id -u)" != 0 ]; then
    echo "the lab needs root: it makes network namespaces and starts sshd and dockerd" >&2
    exit 1
fi

declare -A PACKAGE_OF=(
    [dockerd]=docker.io [docker-registry]=docker-registry [sshd]=openssh-server [ssh]=openssh-client
    [haproxy]=haproxy [nginx]=nginx-light [caddy]=caddy [prometheus]=prometheus [ip]=iproute2
    [iptables]=iptables [skopeo]=skopeo [umoci]=umoci [nsenter]=util-linux [curl]=curl
)
missing=()
for program in "${!PACKAGE_OF[@]}"; do
    command -v "$program" >/dev/null || [ -x "/usr/sbin/$program" ] || missing+=("${PACKAGE_OF[$program]}")
done
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing+=(postgresql)
if [ "${#missing[@]}" -gt 0 ]; then
    echo "lab: installing ${missing[*]}"
    # Nothing is started by its package: the lab starts its own, each apart from the machine's.
    policy=/usr/sbin/policy-rc.d
    [ -e "$policy" ] || { printf '#!/bin/sh\nexit 101\n' >"$policy"; chmod +x "$policy"; trap 'rm -f /usr/sbin/policy-rc.d' EXIT; }
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >"$LAB/install.log" 2>&1 \
        || { tail -20 "$LAB/install.log" >&2; exit 1; }
fi

# Compose v2 is in the next Debian only. One package is taken from there, with lists of its own, and unpacked aside.
if [ ! -x "$LAB/compose/docker-compose" ]; then
    echo "lab: fetching docker compose v2"
    apt="$LAB/apt"
    mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial" "$LAB/compose"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian trixie main" >"$apt/sources.list"
    options=(-o "Dir::Etc::sourcelist=$apt/sources.list" -o Dir::Etc::sourceparts=- -o "Dir::State=$apt/state"
        -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User=root)
    apt-get "${options[@]}" update -qq
    (cd "$apt" && apt-get "${options[@]}" download -qq docker-compose)
    dpkg-deb -x "$apt"/docker-compose_*.deb "$apt/unpacked"
    cp "$apt/unpacked/usr/libexec/docker/cli-plugins/docker-compose" "$LAB/compose/docker-compose" 2>/dev/null \
        || cp "$(find "$apt/unpacked" -name docker-compose -type f | head -1)" "$LAB/compose/docker-compose"
    rm -rf "$apt"
fi
"$LAB/compose/docker-compose" version --short >/dev/null
