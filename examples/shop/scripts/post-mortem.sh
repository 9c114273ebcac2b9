#!/usr/bin/env bash
# Begins the post-mortem of a way back, from what was found out.
set -euo pipefail
file="docs/post-mortems/$(date -u +%F)-back-from-$WINDLASS_OUTPUT_CHOOSE_FROM.md"
mkdir -p "${file%/*}"
[ ! -e "$file" ] || exit 0
cat >"$file" <<P
# Back from $WINDLASS_OUTPUT_CHOOSE_FROM to $WINDLASS_OUTPUT_CHOOSE_TO

- Why it went back this way: $WINDLASS_OUTPUT_CHOOSE_WHY
- What was lost: ${WINDLASS_OUTPUT_HELD_LOSS:-nothing}

## What happened

## Why

## What we do about it
P
echo "begun: $file"
