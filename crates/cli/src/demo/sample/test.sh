#!/usr/bin/env bash
# The shop's tests: what ships states its version, and its settings are complete.
set -euo pipefail
package="$(< package.json)"
app="$(< app.json)"
[[ "$package" == *"\"version\": \"$WINDLASS_VERSION\""* ]] || { echo "package.json states another version" >&2; exit 1; }
[[ "$app" == *'"catalogue"'* && "$app" == *'"checkout"'* ]] || { echo "app.json is not complete" >&2; exit 1; }
echo "2 tests passed"
