# The operation that was asked for.
command -v "do_$operation" >/dev/null 2>&1 || fail 64 "no operation $operation"
"do_$operation" "$@"
