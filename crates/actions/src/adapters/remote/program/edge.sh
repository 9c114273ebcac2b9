# The proxies of this host: their sockets, and the files they read.

talk() { # ADDRESS: standard input to a socket (/PATH) or to HOST:PORT; what is answered until the other side ends
    case $1 in
        /*)
            [ -S "$1" ] || fail 71 "there is no socket $1: the proxy is not running, or does not make it"
            [ -w "$1" ] || fail 71 "the socket $1 may not be used by $(id -un)"
            kind=UNIX-CONNECT
            ;;
        *) kind=TCP ;;
    esac
    if command -v socat >/dev/null 2>&1; then
        socat -t 10 - "$kind:$1,shut-none"
    elif nc -h 2>&1 | grep -q -e '-U'; then
        case $1 in
            /*) nc -w 10 -U "$1" ;;
            *) nc -w 10 "${1%:*}" "${1##*:}" ;;
        esac
    elif command -v perl >/dev/null 2>&1; then
        perl -e '
use IO::Socket::UNIX; use IO::Socket::INET;
my $to = shift; alarm 10; local $/;
my $it = $to =~ m{^/} ? IO::Socket::UNIX->new(Peer => $to) : IO::Socket::INET->new(PeerAddr => $to);
die "$!\n" unless $it;
$it->autoflush(1); print $it scalar <STDIN>; print scalar <$it>;' "$1"
    elif command -v python3 >/dev/null 2>&1; then
        python3 -c '
import socket, sys
to = sys.argv[1]
try:
    if to.startswith("/"):
        it = socket.socket(socket.AF_UNIX)
        it.settimeout(10)
        it.connect(to)
    else:
        host, port = to.rsplit(":", 1)
        it = socket.create_connection((host.strip("[]"), int(port)), 10)
    it.sendall(sys.stdin.buffer.read())
    while True:
        part = it.recv(65536)
        if not part:
            break
        sys.stdout.buffer.write(part)
except OSError as error:
    sys.exit(str(error))' "$1"
    else
        fail 71 "nothing here can talk to $1: install socat, nc (Debian: netcat-openbsd), perl or python3"
    fi || fail 71 "nobody answers at $1: the proxy is not running"
}

whole() { # FILE: sets file to it with no links left, around to its folder, and apart to where its copies are kept;
    # nobody else renders it meanwhile
    [ -f "$1" ] || fail 71 "there is no file $1"
    file=$(readlink -f "$1")
    around=${file%/*}/
    [ -r "$file" ] && [ -w "$file" ] && [ -w "$around" ] || fail 71 "$file may not be changed by $(id -un)"
    apart=$home/rendered-$(printf '%s' "$file" | tr -c 'A-Za-z0-9.\n' '-')
    exec 7<"$around"
    holds 7 20
}

place() { # FROM: its content into the file, with the owner and the rights that the file has
    new=$around.windlass-new.$$
    cp -p "$file" "$new"
    cat "$1" >"$new" || { rm -f "$new"; fail 71 "$file cannot be written"; }
    flush "$new"
    mv -f "$new" "$file"
    flush "$around"
}

workers() { # the workers of nginx that take requests: master and worker, a line each
    grep -ls '[n]ginx: worker process' /proc/[0-9]*/cmdline 2>/dev/null | while read -r found; do
        ! grep -qs '[n]ginx: worker process is shutting down' "$found" || continue
        awk '{ print $4 " " $1 }' "${found%cmdline}stat" 2>/dev/null || true
    done
}

of_configuration() { # WORDS...: of the workers on standard input, those whose master has the file that WORDS name by
    # `-c`, where one says so: of several nginx here, another one may turn without having been told
    all=$(cat) configuration=''
    while [ "$#" -gt 1 ]; do
        [ "$1" != -c ] || configuration=$2
        shift
    done
    own=$(printf '%s\n' "$all" | while read -r master worker; do
        ! tr '\0' ' ' <"/proc/$master/cmdline" 2>/dev/null | grep -qF -e " -c $configuration " \
            || printf '%s %s\n' "$master" "$worker"
    done)
    printf '%s\n' "${own:-$all}"
}

turned() { # WORKERS: waits until those of one of the masters take no requests any more
    [ -n "$1" ] || return 0
    patience=$(($(date +%s) + 5))
    while [ "$(date +%s)" -le "$patience" ]; do
        now=$(workers)
        old=$(printf '%s\n' "$1" | grep -Fx -e "$now" || true)
        for master in $(printf '%s\n' "$1" | cut -d ' ' -f 1 | sort -u); do
            printf '%s\n' "$old" | grep -q "^$master " || return 0
        done
        sleep 0.05 2>/dev/null || sleep 1
    done
    echo "nginx was told to read its configuration, and goes on with what it had: see its error log" >&2
    return 1
}

settle() { # what an interrupted rendering left goes back, unless somebody has changed the file since
    if [ -f "$apart.before" ]; then
        ! cmp -s "$file" "$apart.after" || place "$apart.before"
        rm -f "$apart.before"
    fi
    rm -f "$apart.after"
}

# ADDRESS: what is answered to standard input, which changes nothing.
do_ask() {
    talk "$1"
}

# FENCE ADDRESS: what is answered to standard input.
do_tell() {
    alone
    fenced "$1"
    take "$given"
    talk "$2" <"$given"
}

# FILE
do_show() {
    [ -f "$1" ] || fail 71 "there is no file $1"
    cat "$1" || fail 71 "$1 may not be read by $(id -un)"
}

# FENCE FILE: the file, as it was before an interrupted rendering.
do_settle() {
    alone
    fenced "$1"
    whole "$2"
    settle
    cat "$file"
}

# FENCE FILE SUM COUNT TEST... RELOAD...: standard input is the file, when it still has the SHA-256 SUM. COUNT words
# test it, the others make the proxy read it. When one of the two fails, what was before is put back.
do_render() {
    alone
    fenced "$1"
    whole "$2"
    settle
    sum=$(sha256sum <"$file") || fail 71 "sha256sum is not installed on this host (Debian: coreutils)"
    [ "${sum%% *}" = "$3" ] || fail 78 "$file was changed meanwhile"
    count=$4
    shift 4
    take "$given"
    save "$apart.after" <"$given"
    save "$apart.before" <"$file"
    place "$apart.after"
    if ! told=$(first "$count" "$@" 2>&1 </dev/null 7<&- 9<&-); then
        settle
        fail 77 "$told"
    fi
    if [ "$#" -gt "$count" ]; then
        taking=$(workers | of_configuration "$@")
        if ! told=$(later "$count" "$@" 2>&1 </dev/null 7<&- 9<&- && turned "$taking" 2>&1); then
            settle
            fail 77 "$told"
        fi
    fi
    rm -f "$apart.before" "$apart.after"
}

# How many workers of nginx end what they have.
do_leaving() {
    grep -ls '[n]ginx: worker process is shutting down' /proc/[0-9]*/cmdline 2>/dev/null | wc -l
}
