# Windlass's program on a host: `sh -c PROGRAM windlass OPERATION FOLDER BYTES ARGUMENT...`. POSIX, for dash and
# busybox too. BYTES is how many come on standard input: less, when whoever sends them is killed meanwhile.
# What it keeps in FOLDER/.windlass is written whole or not at all, on the disk before it is told, and by one at a time.
# Exit codes: 71 something is missing here, 72 busy, 73 what is kept is damaged, 74 the lock is not yours,
# 75 the fence is too low (standard output: the highest seen), 76 locked (standard output: the lock), 77 what was
# rendered is refused, 78 the file was changed meanwhile, 79 not all that was sent has come.
set -eu
umask 077
operation=$1 folder=$2 bytes=$3
shift 3
home=$folder/.windlass

fail() { # CODE TEXT...
    code=$1
    shift
    printf '%s\n' "$*" >&2
    exit "$code"
}

first() { # COUNT WORDS...: the first COUNT words as a command, when there are any
    count=$1
    shift
    rest=$(($# - count))
    while [ "$count" -gt 0 ]; do
        set -- "$@" "$1"
        shift
        count=$((count - 1))
    done
    shift "$rest"
    [ "$#" -eq 0 ] || "$@"
}

later() { # COUNT WORDS...: the others
    shift "$(($1 + 1))"
    "$@"
}

flush() { # FILE: onto the disk; an older sync knows no files and writes everything
    sync "$1" 2>/dev/null || sync
}

save() { # FILE: standard input into it
    cat >"$1.new.$$"
    flush "$1.new.$$"
    mv -f "$1.new.$$" "$1"
    flush "${1%/*}"
}

take() { # FILE: standard input into it, when all of it comes
    cat >"$1"
    [ "$(wc -c <"$1")" -eq "$bytes" ] || fail 79 "not all that was sent to $home has come"
}

accept() { # FILE: standard input into it, whole or not at all
    take "$given"
    flush "$given"
    mv -f "$given" "$1"
    flush "${1%/*}"
}

holds() { # DESCRIPTOR SECONDS: until nobody else has its lock
    command -v flock >/dev/null 2>&1 || fail 71 "flock is not installed on this host (Debian: util-linux)"
    patience=$(($(date +%s) + $2))
    until flock -n "$1"; do
        [ "$(date +%s)" -lt "$patience" ] || fail 72 "another Windlass is at work in $folder"
        sleep 0.1 2>/dev/null || sleep 1
    done
}

alone() {
    mkdir -p "$home"
    exec 9>"$home/mutex"
    holds 9 20
    given=$home/given.new.$$
    trap 'rm -f "$home"/*.new.$$' EXIT
    finish_pending
}

finish_pending() { # a history with a new record at its end, and that record as what is there: both, or neither
    [ -f "$home/pending" ] || return 0
    tail -n 1 "$home/pending" | save "$home/record.json"
    mv -f "$home/pending" "$home/history"
    flush "$home"
}

number() { # TEXT: it, when it is a number
    case $1 in
        '' | *[!0-9]*) fail 73 "$home holds \`$1\` where a number belongs: look at it, and remove the file" ;;
    esac
    printf '%s\n' "$1"
}

seen() { # the highest fence ever seen here
    [ -f "$home/fence" ] || { echo 0; return; }
    highest=''
    read -r highest <"$home/fence" || true
    number "$highest"
}

fenced() { # FENCE: refuses a lower one than was ever seen, and remembers a higher one
    highest=$(seen)
    if [ "$1" -lt "$highest" ]; then
        printf '%s\n' "$highest"
        exit 75
    fi
    [ "$1" -eq "$highest" ] || printf '%s\n' "$1" | save "$home/fence"
}

read_lock() { # sets owner, epoch, fence, until, since, person; fails when there is no lock
    owner='' epoch=0 fence=0 until=0 since=0 person=''
    [ -f "$home/lock" ] || return 1
    { read -r owner && read -r epoch && read -r fence && read -r until && read -r since && read -r person; } \
        <"$home/lock" || fail 73 "$home/lock is damaged: look at it, and remove it"
    epoch=$(number "$epoch") || exit 73
    fence=$(number "$fence") || exit 73
    until=$(number "$until") || exit 73
}

tell_lock() {
    [ ! -f "$home/lock" ] || sed 's/^/lock /' "$home/lock"
}

tell_kept() { # everything that is kept but the history, without changing anything
    printf 'now %s\n' "$(date +%s)"
    [ -d "$home" ] || return 0
    printf 'fence %s\n' "$(seen)"
    tell_lock
    # What is pending is decided: it only has not reached its places yet, and may do so while it is read.
    if [ -f "$home/pending" ] && pending=$(tail -n 1 "$home/pending" 2>/dev/null); then
        printf 'record %s\n' "$pending"
    elif [ -f "$home/record.json" ]; then
        sed 's/^/record /' "$home/record.json"
    fi
}

tell_history() { # what was deployed to its end, and which locks were broken
    [ -d "$home" ] || return 0
    if [ -f "$home/pending" ] && history=$(cat "$home/pending" 2>/dev/null); then
        printf '%s\n' "$history" | sed 's/^/history /'
    elif [ -f "$home/history" ]; then
        tail -n 200 "$home/history" | sed 's/^/history /'
    fi
    [ ! -f "$home/breaks" ] || tail -n 5 "$home/breaks" | sed 's/^/break /'
}

write_lock() { # OWNER EPOCH FENCE UNTIL SINCE PERSON
    printf '%s\n' "$@" | save "$home/lock"
}

# Everything that is kept, without changing anything.
do_look() {
    tell_kept
    tell_history
}

# RUN EPOCH PERSON SECONDS FENCE: takes the environment's lock, with a fence above every one seen and FENCE.
do_lock() {
    alone
    now=$(date +%s)
    if read_lock; then
        if [ "$owner" = "$1" ]; then
            if [ "$epoch" -gt "$2" ]; then
                tell_lock
                exit 74
            fi
            if [ "$epoch" -eq "$2" ]; then
                write_lock "$1" "$2" "$fence" "$((now + $4))" "$since" "$person"
                printf '%s\n' "$fence"
                exit 0
            fi
        elif [ "$until" -gt "$now" ]; then
            tell_lock
            exit 76
        fi
    fi
    fence=$(seen)
    [ "$fence" -ge "$5" ] || fence=$5
    fence=$((fence + 1))
    printf '%s\n' "$fence" | save "$home/fence"
    write_lock "$1" "$2" "$fence" "$((now + $4))" "$now" "$3"
    printf '%s\n' "$fence"
}

# RUN EPOCH SECONDS
do_renew() {
    alone
    read_lock && [ "$owner" = "$1" ] && [ "$epoch" -eq "$2" ] || exit 74
    write_lock "$owner" "$epoch" "$fence" "$(($(date +%s) + $3))" "$since" "$person"
}

# RUN EPOCH: only one's own lock is given back.
do_unlock() {
    alone
    read_lock && [ "$owner" = "$1" ] && [ "$epoch" -eq "$2" ] || exit 0
    rm -f "$home/lock"
    flush "$home"
}

# RUN EPOCH FENCE: everything that is kept, under a fence that nobody else was given here before; who was stands behind
# it. A lock that another run has here is respected; one that is over, or an earlier process of this run left, goes.
do_claim() {
    alone
    if read_lock; then
        if [ "$owner" != "$1" ] && [ "$until" -gt "$(date +%s)" ]; then
            tell_lock
            exit 76
        fi
        [ "$owner" != "$1" ] || [ "$epoch" -le "$2" ] || exit 74
    fi
    highest=$(seen)
    if [ "$3" -gt "$highest" ]; then
        printf '%s\n' "$3" "$1 $2" | save "$home/fence"
    elif [ "$3" -lt "$highest" ] || [ "$(sed -n 2p "$home/fence")" != "$1 $2" ]; then
        printf '%s\n' "$highest"
        exit 75
    fi
    rm -f "$home/lock"
    tell_kept
    tell_history
}

# PERSON REASON FENCE: whoever has the lock is fenced off, with a fence above every one seen and FENCE.
do_break() {
    alone
    tell_lock
    fence=$(seen)
    [ "$fence" -ge "$3" ] || fence=$3
    fence=$((fence + 1))
    printf '%s\n' "$fence" | save "$home/fence"
    rm -f "$home/lock"
    printf '%s %s: %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$1" "$2" >>"$home/breaks"
    flush "$home"
    printf 'fence %s\n' "$fence"
}

# FENCE [look]: with `look` everything that is kept is told then.
do_raise() {
    alone
    fenced "$1"
    if [ $# -gt 1 ]; then
        tell_kept
        tell_history
    fi
}

# FENCE KEEP: standard input is the record; with KEEP it enters the history too.
do_record() {
    alone
    fenced "$1"
    if [ "$2" = keep ]; then
        take "$given"
        { [ ! -f "$home/history" ] || tail -n 199 "$home/history"; cat "$given"; } | save "$home/pending"
        finish_pending
    else
        accept "$home/record.json"
    fi
}

# FENCE: nothing is deployed any more.
do_forget() {
    alone
    fenced "$1"
    rm -f "$home/record.json"
    flush "$home"
}

# FENCE NAME write|forget: standard input under a name.
do_keep() {
    alone
    fenced "$1"
    if [ "$3" = write ]; then
        accept "$home/$2.json"
    else
        rm -f "$home/$2.json"
        flush "$home"
    fi
}

# NAME
do_kept() {
    [ ! -f "$home/$1.json" ] || cat "$home/$1.json"
}
