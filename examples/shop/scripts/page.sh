#!/usr/bin/env bash
# Calls whoever is on call: here, a line in a file beside the repository.
set -euo pipefail
cat >>../pages.jsonl
echo >>../pages.jsonl
