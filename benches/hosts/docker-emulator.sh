#!/bin/sh
# An emulator of docker for benches/hosts: it answers at once what `deploy.compose` asks, and remembers one image.
state=/srv/emulated-image
case "$*" in
    "info --format"*) echo /srv ;;
    "compose version"*) echo v2 ;;
    *" config --format json") printf '{"name":"shop","services":{"web":{"image":"registry.example.com/shop:%s","restart":"always"}}}\n' "$VERSION" ;;
    *" pull"*) ;;
    *" up "*)
        for word in "$@"; do
            case $word in *windlass-pins.yml) sed -n 's/.*"image":"\([^"]*\)".*/\1/p' "$word" >$state ;; esac
        done
        ;;
    "image inspect"*) printf '["registry.example.com/shop@sha256:%064d"]\n' "$(printf %s "$*" | cksum | cut -d' ' -f1)" ;;
    "ps "*) [ ! -f $state ] || echo 0123456789abcdef ;;
    "inspect "*)
        printf '{"id":"0123456789abcdef","service":"web","once":"False","state":"running","exit":0,"restarts":0,"started":"2026-01-01T00:00:00Z","image":"%s"}\n' "$(cat $state)"
        ;;
    *) ;;
esac
