#!/usr/bin/env bash
# Makes a repository of the shop at FOLDER, with a remote beside it, its proxy on lab1 and its database: `begin.sh FOLDER`.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
lab="${WINDLASS_LAB:-/var/tmp/windlass-lab}"
folder="$1"
[ -f "$lab/lab.env" ] || { echo "the lab is not up: run tests/lab/up.sh" >&2; exit 1; }
[ ! -e "$folder" ] || { echo "$folder is there already" >&2; exit 1; }
export PATH="$PATH:$(ls -d /usr/lib/postgresql/*/bin | tail -1)"

mkdir -p "$folder"
cp -r "$here"/{CHANGELOG.md,VERSION,errors,service.rs,compose.yml,compose.production.yml,windlass.toml,migrations,runbooks,scripts} "$folder"
ln -s "$lab" "$folder/lab"
cd "$folder"
git init --quiet --bare "$folder.git"
git init --quiet --initial-branch main
git config user.name Omar
git config user.email omar@shop.example
printf 'lab\n' >.gitignore
git add --all
git commit --quiet --message "feat: order bread"
git remote add origin "$folder.git"
git push --quiet --set-upstream origin main

# The proxy: both colours of both hosts, none of which is ready so far.
ssh -F lab/ssh_config lab1 'test ! -f /srv/haproxy.pid || kill "$(cat /srv/haproxy.pid)" 2>/dev/null || true; cat >/srv/haproxy.cfg' <"$here/haproxy.cfg"
ssh -F lab/ssh_config lab1 'haproxy -D -f /srv/haproxy.cfg -p /srv/haproxy.pid'

# The database, with the first migration, and no backup of another one.
export PGHOST=10.231.7.1 PGUSER=postgres PGDATABASE=shop
dropdb --if-exists --force shop 2>/dev/null
rm -rf "$lab/backups"
install -d -o postgres "$lab/backups"
createdb shop
./scripts/migrate.sh
printf '[{ "targets": ["10.231.7.11:8081", "10.231.7.11:8082", "10.231.7.12:8081", "10.231.7.12:8082"] }]\n' >"$lab/targets/shop.json"
echo "the shop is at $folder"
