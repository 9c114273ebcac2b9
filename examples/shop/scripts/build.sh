#!/usr/bin/env bash
# Builds the version's image without a daemon, puts it into the registry, and tells its digest.
set -euo pipefail
registry=10.231.7.1:5000
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
rustc --edition 2024 -O -C target-feature=+crt-static -C strip=symbols service.rs -o "$work/service"
umoci init --layout "$work/image"
umoci new --image "$work/image:new"
umoci insert --image "$work/image:new" "$work/service" /service
umoci config --image "$work/image:new" --config.entrypoint /service \
    --config.env VERSION="$WINDLASS_VERSION" --config.env ERRORS="$(cat errors)"
skopeo copy --quiet --dest-tls-verify=false --digestfile "$work/digest" \
    "oci:$work/image:new" "docker://$registry/shop:$WINDLASS_VERSION"
echo "digest=$(cat "$work/digest")" >>"$WINDLASS_OUTPUT"
