#!/usr/bin/env bash
# Takes a page, as JSON on standard input: a line in a file beside the repository's own.
set -euo pipefail
{ cat && echo; } >>"$(git rev-parse --git-dir)/pages"
