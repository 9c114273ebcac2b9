//! Stand-ins for `ssh` and `docker`: emulators, where what is tested is Windlass's own part. The real ones are used by
//! the lab's end-to-end tests.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::world::Setting;

/// Runs the command here instead of on a host.
const SSH: &str = r#"#!/bin/sh
while [ $# -gt 0 ]; do
    case $1 in
        -G) is_question=1; shift ;;
        -o) case $2 in ControlPath=*) socket=${2#ControlPath=} ;; esac; shift 2 ;;
        -O) is_check=1; shift 2 ;;
        -F | -l) shift 2 ;;
        -M | -N | -f | -T) shift ;;
        --) shift; break ;;
        *) echo "the stand-in for ssh knows no $1" >&2; exit 255 ;;
    esac
done
host=$1
shift
printf '%s %s\036\n' "$host" "$*" >>"$STANDIN/ssh.log"
[ -z "${is_question-}" ] || { echo "hostname $(cat "$STANDIN/$host.address" 2>/dev/null || echo 127.0.0.1)"; exit; }
[ ! -e "$STANDIN/$host.silent" ] || { sleep 1.1; echo "ssh: connect to host $host port 22: Connection timed out" >&2; exit 255; }
[ ! -e "$STANDIN/$host.down" ] || { echo "ssh: connect to host $host port 22: Connection refused" >&2; exit 255; }
case "$*" in
    *" windlass claim "*) [ ! -e "$STANDIN/$host.fence" ] || mv "$STANDIN/$host.fence" "$STANDIN/$host/shop/.windlass/fence" ;;
esac
[ -z "${is_check-}" ] || { [ -e "$socket" ]; exit; }
[ $# -gt 0 ] || { : >"$socket"; exit; }
HOST=$host exec sh -c "$(printf %s "$1" | sed "s#/srv/shop#$STANDIN/$host/shop#g")"
"#;

/// Knows compose files of JSON, and keeps what "runs" on a host in a file.
const DOCKER: &str = r#"
import hashlib, json, os, sys
state = os.path.join(os.environ["RUNNING"], os.environ["HOST"] + ".json")
arguments = sys.argv[1:]
def digest(text): return hashlib.sha256(text.encode()).hexdigest()
def running():
    try: return json.load(open(state))
    except FileNotFoundError: return {}
if arguments[0] == "info": print("/")
elif arguments[:2] == ["image", "inspect"]:
    moved = "moved" if os.path.exists(os.environ["STANDIN"] + "/moved") else ""
    print(json.dumps([arguments[-1].split(":")[0] + "@sha256:" + digest(arguments[-1] + moved)]))
elif arguments[0] == "ps": print("\n".join(container["id"] for container in running().values()))
elif arguments[0] == "inspect":
    for container in running().values(): print(json.dumps(container))
elif arguments[0] == "logs": print("the last words")
elif arguments[0] == "compose" and arguments[1] != "version":
    files = [arguments[at + 1] for at, word in enumerate(arguments) if word == "-f"]
    verb = arguments[arguments.index(files[-1]) + 1]
    services = {}
    for file in files:
        for name, service in json.load(open(file))["services"].items():
            services.setdefault(name, {}).update(service)
    for service in services.values():
        service["image"] = service["image"].replace("${VERSION}", os.environ["VERSION"])
    variables = os.environ["STANDIN"] + "/" + os.environ["HOST"] + ".variables"
    if os.path.exists(variables):
        for service in services.values(): service["environment"] = {"X": open(variables).read()}
    if verb == "config": print(json.dumps({"name": "shop", "services": services}))
    elif verb == "pull" and os.path.exists(os.environ["STANDIN"] + "/meanwhile"):
        place = os.environ["STANDIN"] + "/"
        os.rename(place + "meanwhile", place + open(place + "meanwhile.file").read())
    elif verb == "pull" and os.path.exists(os.environ["STANDIN"] + "/no-image"): sys.exit("manifest unknown")
    elif verb == "up":
        dies = os.environ["STANDIN"] + "/dies"
        if os.path.exists(dies):
            when, victim = open(dies).read().rsplit(" ", 1)
            if when == os.environ["VERSION"] + " " + os.environ["HOST"]: os.rename(dies, os.environ["STANDIN"] + "/" + victim + ".down")
        secret = os.environ["STANDIN"] + "/" + os.environ["HOST"] + ".secret"
        secret = open(secret).read() if os.path.exists(secret) else ""
        is_new = lambda name, image: "--force-recreate" in arguments or running().get(name, {}).get("image") != image
        ids = {name: digest(service["image"]) if is_new(name, service["image"]) and "--force-recreate" not in arguments
            else digest(service["image"] + str(os.getpid())) if is_new(name, service["image"]) else running()[name]["id"]
            for name, service in services.items()}
        secrets = {name: secret if is_new(name, service["image"]) else running()[name].get("secret", "")
            for name, service in services.items()}
        bad = os.environ["VERSION"] + " " + os.environ["HOST"]
        broken = os.path.exists(os.environ["STANDIN"] + "/broken") and open(os.environ["STANDIN"] + "/broken").read() == bad
        json.dump({name: {"id": ids[name], "secret": secrets[name], "service": name, "once": "False", "exit": 3 if broken else 0,
            "state": "exited" if broken else "running", "restarts": 0, "started": "2026-01-01T00:00:00Z", "image": service["image"]}
            for name, service in services.items()}, open(state, "w"))
    elif verb == "down" and os.path.exists(state): os.remove(state)
"#;

/// The compose file of [`deploy`], which says `${VERSION}`.
pub const COMPOSE: &str = r#"{ "services": { "web": { "image": "registry.example/shop:${VERSION}" } } }"#;

/// Puts the stand-ins in front of the real programs, with what runs kept in the checkout, where snapshots see it.
pub fn with_standins(setting: Setting) -> Setting {
    let tools = setting.repo.outside().join("tools");
    std::fs::create_dir_all(&tools).unwrap();
    // The interpreter itself: what `PATH` has may be a script that looks for it, at each of many calls.
    let python =
        setting.repo.command("python3").args(["-c", "import sys; print(sys.executable)"]).output().unwrap();
    let python = String::from_utf8(python.stdout).unwrap();
    let docker = format!("#!{} -SE{DOCKER}", python.trim());
    for (name, text) in [("ssh", SSH), ("docker", docker.as_str())] {
        std::fs::write(tools.join(name), text).unwrap();
        std::fs::set_permissions(tools.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    let running = setting.repo.path().join("running");
    std::fs::create_dir_all(&running).unwrap();
    let standin = setting.repo.outside().to_owned();
    setting.with_env("PATH", path).with_env("RUNNING", running).with_env("STANDIN", standin)
}

/// Parameters of `deploy.compose` on these hosts.
pub fn deploy(hosts: &[&str], more: Value) -> Value {
    let mut target = json!({
        "hosts": hosts,
        "folder": "/srv/shop",
        "compose": ["compose.yml"],
        "min_healthy": "1ms",
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        target[key] = value.clone();
    }
    json!({ "environment": "production", "target": target, "ready": "2s" })
}
