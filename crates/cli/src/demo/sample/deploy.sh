#!/usr/bin/env bash
# Puts a version of the shop live, as its tag has it: `./deploy.sh 1.2.3`.
# `./deploy.sh --is-live 1.2.3` changes nothing and tells whether that version is live.
set -euo pipefail
cd "${BASH_SOURCE[0]%/*}"
# One folder for each colour, where there are two.
service=../service${WINDLASS_COLOUR:+/$WINDLASS_COLOUR}

if [[ "$1" == --is-live ]]; then
  [[ -f "$service/current" && "$(< "$service/current")" == "$2" ]]
  exit
fi

version="$1"
folder="$service/releases/$version"
if [[ ! -f "$folder/app.json" ]]; then
  mkdir -p "$folder"
  git show "v$version:app.json" > "$folder/app.json.new"
  mv -f "$folder/app.json.new" "$folder/app.json"
fi

# One rename: customers get the old version or the new one, never half of each.
echo "$version" > "$service/current.new"
mv -f "$service/current.new" "$service/current"
echo "live: $version"
