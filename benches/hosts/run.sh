#!/usr/bin/env bash
# Measures what many hosts cost: `benches/hosts/run.sh [ROUNDS] [HOSTS...]`, 5 rounds of 1, 5, 20 and 50 hosts.
#
# A host is an sshd of its own with a folder of its own, in memory, because one disk would have to sync for all of them;
# docker on it is an emulator that answers at once. What is left is ssh, Windlass and ansible. In the same run: a deployment, a deployment of what is there already, a look at
# all hosts (`windlass env`), and ansible-core's `command` module. Needs root, for the folders.
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
    unshare --mount sh -c 'mount -t tmpfs tmpfs /srv && exec "$2" -D -f /dev/null -h "$3/hostkey" -o Port=2277 \
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
    seq -f 'h%g' 1 "$count" >"$work/inventory$count"
done
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
    ANSIBLE_LOCALHOST_WARNING=False ANSIBLE_PYTHON_INTERPRETER=/usr/bin/python3 ANSIBLE_FORKS="$most" \
    ANSIBLE_SSH_CONTROL_PATH_DIR="$work/cp"
number=0
echo "| hosts | deploy | deploy again | \`windlass env\` | ansible \`command\` | again / ansible |"
echo "|---|---|---|---|---|---|"
for count in "${counts[@]}"; do
    rm -f "$work"/t.*
    for _ in $(seq "$rounds"); do
        number=$((number + 1))
        timed "$work/t.deploy" "$windlass" run "deploy$count" --input "version=1.0.$number"
        timed "$work/t.again" "$windlass" run "deploy$count" --input "version=1.0.$number"
        timed "$work/t.env" "$windlass" env "e$count"
        # Each begins without a connection, as the others do.
        rm -rf "$work/cp"
        timed "$work/t.ansible" "$ansible/bin/ansible" -i "$work/inventory$count" all -m command -a true
    done
    again="$(median <"$work/t.again")" peer="$(median <"$work/t.ansible")"
    printf '| %s | %s s | %s s | %s s | %s s | %.1fx |\n' "$count" "$(median <"$work/t.deploy")" "$again" \
        "$(median <"$work/t.env")" "$peer" "$(echo "$peer / $again" | bc -l)"
done
"$ansible/bin/ansible" --version | head -1
