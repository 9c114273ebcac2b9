#!/usr/bin/env bash
# Measures what many hosts cost: `benches/hosts/run.sh [ROUNDS] [HOSTS...]`, 5 rounds of 1, 5, 20 and 50 hosts.
#
# A host is an sshd of its own with a folder of its own, in memory, because one disk would have to sync for all of them,
# and an empty home: what this machine's `.bashrc` does at the start of each session is no part of it;
# docker on it is an emulator that answers at once. What is left is ssh, Windlass and ansible, and both sides of every
# connection are this machine. Needs root, for the folders.
#
# What is compared, in one and the same run: a step that finds nothing to do.
# - Windlass: `deploy.compose` of the version that is there. It asks each host what it keeps and runs, makes sure that a
#   deployment would change nothing, asks the registry on the first host, and writes nothing. docker's own time, with a
#   real one some tenths of a second on each host at the same time, is not in it.
# - ansible-core: a play of one task, `command: "true"`, without gathering facts, as many forks as hosts. It runs a
#   program on each host and looks at nothing. Once as it is installed, once with pipelining.
# Cold is a whole process that opens all connections: `windlass run` with its plan and journal, and it closes them, too;
# `ansible-playbook`, which leaves them open. Warm is one more such step over open connections: a run of two of them less
# a run of one, by round. No side has a connection when a process begins.
set -euo pipefail
here="$(cd "$(dirname "$0")/../.." && pwd)"
rounds="${1:-5}"
shift || true
counts=("${@:-1 5 20 50}")
read -ra counts <<<"${counts[*]}"
most="$(printf '%s\n' "${counts[@]}" | sort -n | tail -1)"
work="$(mktemp -d)"
sshd="$(command -v sshd || echo /usr/sbin/sshd)"
trap 'kill $(cat "$work"/pids) 2>/dev/null; wait 2>/dev/null; rm -rf "$work"' EXIT
: >"$work/pids"

windlass="${WINDLASS:-$here/target/release/windlass}"
[ -x "$windlass" ] || (cd "$here" && cargo build --release --quiet)
ansible="$here/target/peers/ansible"
if [ ! -x "$ansible/bin/ansible" ]; then
    python3 -m venv "$ansible"
    "$ansible/bin/pip" install --quiet ansible-core
fi

# The hosts.
ssh-keygen -q -t ed25519 -N '' -f "$work/key"
ssh-keygen -q -t ed25519 -N '' -f "$work/hostkey"
mkdir -p "$work/bin" /run/sshd
install -m 755 "$here/benches/hosts/docker-emulator.sh" "$work/bin/docker"
for number in $(seq 1 "$most"); do
    address="127.0.77.$number"
    unshare --mount sh -c 'mount -t tmpfs tmpfs /srv && mount -t tmpfs tmpfs /root && exec "$2" -D -f /dev/null -h "$3/hostkey" -o Port=2277 \
        -o ListenAddress="$4" -o AuthorizedKeysFile="$3/key.pub" -o UsePAM=no -o StrictModes=no -o PidFile=none \
        -o MaxStartups=200 -o SetEnv=PATH="$3/bin:/usr/sbin:/usr/bin:/sbin:/bin"' \
        sh - "$sshd" "$work" "$address" 2>/dev/null &
    echo $! >>"$work/pids"
    printf 'Host h%s\n  HostName %s\n  Port 2277\n  User root\n  IdentityFile %s\n  IdentitiesOnly yes\n  HostKeyAlias bench\n  UserKnownHostsFile %s\n\n' \
        "$number" "$address" "$work/key" "$work/known_hosts" >>"$work/ssh_config"
done
echo "bench $(cut -d' ' -f1,2 "$work/hostkey.pub")" >"$work/known_hosts"
for number in $(seq 1 "$most"); do
    until ssh -F "$work/ssh_config" -o ConnectTimeout=1 "h$number" true 2>/dev/null; do :; done
done

# The repository, with an environment for each number of hosts.
git init --quiet --initial-branch main "$work/repo"
cd "$work/repo"
git config user.name bench
git config user.email bench@example.com
printf 'services: { web: { image: "registry.example.com/shop:${VERSION}", restart: always } }\n' >compose.yml
mkdir runbooks
for count in "${counts[@]}"; do
    names="$(seq -s, -f '"h%g"' 1 "$count")"
    printf '[environments.e%s]\nhosts = [%s]\nssh_config = "%s"\nfolder = "/srv/shop%s"\ncompose = ["compose.yml"]\nbatches = ["100%%"]\nmin_healthy = "0s"\n\n' \
        "$count" "$names" "$work/ssh_config" "$count" >>windlass.toml
    printf -- '---\nname: deploy%s\n---\n# Deploy\n\n## Steps\n\n### Deploy\n- Lock: e%s\n\n```yaml\nuses: deploy.compose\nwith: { environment: e%s, version: "{{ inputs.version }}", tag: main }\n```\n' \
        "$count" "$count" "$count" | sed "s/^name: .*/&\\ninputs: { version: { type: string } }/" >"runbooks/deploy$count.md"
    sed "s/^name: .*/name: twice$count/; s/^# Deploy/# Deploy twice/" "runbooks/deploy$count.md" >"runbooks/twice$count.md"
    printf '\n### Deploy again\n- Lock: e%s\n\n```yaml\nuses: deploy.compose\nwith: { environment: e%s, version: "{{ inputs.version }}", tag: main }\n```\n' \
        "$count" "$count" >>"runbooks/twice$count.md"
    seq -f 'h%g' 1 "$count" >"$work/inventory$count"
done
printf -- '- hosts: all\n  gather_facts: false\n  tasks: [{ command: "true" }]\n' >"$work/once.yml"
printf -- '- hosts: all\n  gather_facts: false\n  tasks: [{ command: "true" }, { command: "true" }]\n' >"$work/twice.yml"
git add --all
git commit --quiet --message "feat: bench"

median() { sort -n | awk '{ all[NR] = $1 } END { printf "%.2f", (NR % 2) ? all[(NR + 1) / 2] : (all[NR / 2] + all[NR / 2 + 1]) / 2 }'; }
timed() { # FILE COMMAND...: adds the seconds it took
    local file="$1" begin end
    shift
    begin="$(date +%s.%N)"
    "$@" >"$work/said" 2>&1 || { cat "$work/said" >&2; exit 1; }
    end="$(date +%s.%N)"
    echo "$end - $begin" | bc -l >>"$file"
}
export ANSIBLE_HOST_KEY_CHECKING=True ANSIBLE_SSH_ARGS="-F $work/ssh_config -o ControlMaster=auto -o ControlPersist=60s" \
    ANSIBLE_LOCALHOST_WARNING=False ANSIBLE_PYTHON_INTERPRETER=/usr/bin/python3 ANSIBLE_SSH_CONTROL_PATH_DIR="$work/cp"
play() { # NAME PLAYBOOK PIPELINING: without a connection at its beginning
    for socket in "$work"/cp/*; do
        [ ! -S "$socket" ] || ssh -F /dev/null -o ControlPath="$socket" -O exit none 2>/dev/null || true
    done
    rm -rf "$work/cp"
    ANSIBLE_FORKS="$count" ANSIBLE_PIPELINING="$3" \
        timed "$work/t.$1" "$ansible/bin/ansible-playbook" -i "$work/inventory$count" "$work/$2.yml"
}
deployed() { # that the last run changed nothing, or that it did
    [ "$(grep -c 'as it would be deployed' "$work/said")" = "$1" ] || { echo "not $1 steps without work:"; cat "$work/said"; exit 1; } >&2
}
warm() { # ONCE TWICE: one more step, by round
    paste "$work/t.$1" "$work/t.$2" | awk '{ print $2 - $1 }' | median
}
ratio() { echo "$1 / $2" | bc -l | xargs printf '%.1fx'; }
number=0
echo "| hosts | deploy | \`windlass env\` | cold: no-op step | ansible | pipelined | faster than both | warm: no-op step | ansible | pipelined | faster than both |"
echo "|---|---|---|---|---|---|---|---|---|---|---|"
for count in "${counts[@]}"; do
    rm -f "$work"/t.*
    for _ in $(seq "$rounds"); do
        number=$((number + 1))
        timed "$work/t.deploy" "$windlass" run "deploy$count" --input "version=1.0.$number"
        deployed 0
        timed "$work/t.env" "$windlass" env "e$count"
        timed "$work/t.again" "$windlass" run "deploy$count" --input "version=1.0.$number"
        deployed 1
        timed "$work/t.twice" "$windlass" run "twice$count" --input "version=1.0.$number"
        deployed 2
        play ansible once False
        play ansible2 twice False
        play piped once True
        play piped2 twice True
    done
    again="$(median <"$work/t.again")" peer="$(median <"$work/t.ansible")" piped="$(median <"$work/t.piped")"
    more="$(warm again twice)" peer_more="$(warm ansible ansible2)" piped_more="$(warm piped piped2)"
    printf '| %s | %s s | %s s | %s s | %s s | %s s | %s, %s | %s s | %s s | %s s | %s, %s |\n' \
        "$count" "$(median <"$work/t.deploy")" "$(median <"$work/t.env")" \
        "$again" "$peer" "$piped" "$(ratio "$peer" "$again")" "$(ratio "$piped" "$again")" \
        "$more" "$peer_more" "$piped_more" "$(ratio "$peer_more" "$more")" "$(ratio "$piped_more" "$more")"
done
echo
echo "$(nproc) cores, Linux $(uname -r), load $(cut -d' ' -f1-3 /proc/loadavg) at the end; $(ssh -V 2>&1 | cut -d, -f1); $("$ansible/bin/ansible" --version | head -1)"
