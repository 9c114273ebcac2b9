#!/usr/bin/env bash
# The three things that must work, at the address it is given: `smoke.sh URL`.
set -euo pipefail
for request in "GET /health" "GET /orders" "POST /orders"; do
    read -r method path <<<"$request"
    curl --silent --show-error --fail --max-time 5 --output /dev/null --request "$method" "$1$path"
    echo "OK $request"
done
