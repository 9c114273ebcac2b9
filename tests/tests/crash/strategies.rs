//! Deployments by colours, host by host and by a script, and the ways back from them, killed at every write of the journal
//! and at every operation on a host, and resumed, on a real HAProxy under requests: one version everywhere, no lock left,
//! nothing doubled, no failed request.
//!
//! The hosts are emulated: what is sent to one by ssh is done here, in a folder of its own. The lab has real ones.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use serde_json::Value;
use windlass_testkit::proxies::{Kind, Running, ask};
use windlass_testkit::repo::RepoBuilder;
use windlass_testkit::versions::{Customers, Versioned};

use crate::support::{Ran, newest, program};

/// How many deployments go on at a time.
const WORKERS: usize = 3;

/// Stands before a program, counts what is asked of it, and kills who asks at the request of that number.
const COUNTED: &str = r#"#!/bin/sh
@FILTER@
exec 9>>"@SENT@.lock"
flock 9
number=$(($(cat "@SENT@" 2>/dev/null || echo 0) + 1))
echo "$number" >"@SENT@"
exec 9>&-
[ "before:$number" != "@DIE@" ] || { kill -9 $PPID; exit 1; }
@REAL@ "$@"
code=$?
[ "after:$number" != "@DIE@" ] || kill -9 $PPID
exit $code
"#;

/// Only the program on hosts is counted, by the name that it is given.
const OWN: &str = r#"[ "${3-}" = windlass ] || exec /bin/sh "$@""#;

/// Only commands are counted, not questions about the connection.
const COMMANDS: &str = r#"case " $* " in *" ControlMaster=no "*) ;; *) exec @REAL@ "$@" ;; esac"#;

/// What is sent to a host is done here, in its own folder.
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
[ -z "${is_question-}" ] || { case $host in blue) echo "hostname @BLUE@" ;; *) echo "hostname @GREEN@" ;; esac; exit; }
[ -z "${is_check-}" ] || { [ -e "$socket" ]; exit; }
[ $# -gt 0 ] || { : >"$socket"; exit; }
exec sh -c "$(printf %s "$1" | sed "s#/srv/shop#@HOSTS@/$host/shop#g")"
"#;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strategy {
    BlueGreen,
    Rolling,
    /// The proxy is told nothing: what customers get is what the script leaves.
    Script,
}

/// What is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// A deployment.
    There,
    /// The runbook that goes back from one.
    Back,
}

/// Where a process dies.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Death {
    Never,
    /// At a write of the journal: `before:3`.
    Write(String),
    /// At an operation on a host.
    Sent(String),
}

struct Stage {
    strategy: Strategy,
    repo: RepoBuilder,
    proxy: Running,
    next: usize,
}

impl Stage {
    fn new(strategy: Strategy) -> Self {
        let repo = RepoBuilder::new();
        let holds = repo.outside().join("holds");
        std::fs::create_dir_all(&holds).unwrap();
        let [blue, green] = ["blue", "green"].map(|name| Versioned::start(&holds.join(name)).unwrap().port);
        let proxy = Running::start(Kind::Haproxy, blue, green).unwrap();
        let (test, _) = proxy.commands();
        let common = format!(
            "kind = \"haproxy\"\nbackend = \"shop\"\nsocket = {:?}\nconfig = {:?}\ntest = {test:?}\ndrain = \"5s\"\n",
            proxy.socket(),
            proxy.config().display().to_string()
        );
        let health = format!("http://127.0.0.1:{}/health", proxy.front);
        let (environment, name) = match strategy {
            Strategy::BlueGreen => (
                format!(
                    "[environments.production.proxy]\n{common}ports = {{ blue = {blue}, green = {green} }}\n"
                ),
                "WINDLASS_COLOUR",
            ),
            // Two hosts of these names, and a third one that the proxy is on.
            Strategy::Script => (String::new(), "SERVED_BY"),
            Strategy::Rolling => (
                format!(
                    "hosts = [\"blue\", \"green\"]\nfolder = \"/srv/shop\"\nmin_healthy = \"1ms\"\n\
                     [environments.production.proxy]\n{common}hosts = [\"front\"]\n"
                ),
                "WINDLASS_HOST",
            ),
        };
        let health = match strategy {
            Strategy::BlueGreen | Strategy::Script => health,
            // The stand-in for ssh gives each host's port with its address.
            Strategy::Rolling => "http://{host}/health".to_owned(),
        };
        repo.file(
            "windlass.toml",
            format!("[environments.production]\nhealth = {health:?}\nversion = \"$.version\"\n{environment}"),
        );
        let action = match strategy {
            Strategy::BlueGreen => "deploy.blue_green",
            Strategy::Rolling => "deploy.rolling",
            Strategy::Script => "deploy.script",
        };
        let holds = holds.display();
        let run = format!(
            "  run: |\n    name=${{{name}:-blue}}\n    echo \"$WINDLASS_VERSION\" > \"{holds}/$name.new\"\n    mv \"{holds}/$name.new\" \
             \"{holds}/$name\"\n"
        );
        let stop = match strategy {
            Strategy::Script => String::new(),
            Strategy::BlueGreen | Strategy::Rolling => format!("  stop: rm -f \"{holds}/${name}\"\n"),
        };
        repo.file(
            "runbooks/deploy.md",
            format!(
                "---\nname: deploy\nskills: [deploy]\n---\n# Deploy\n\n## Steps\n\n### 1. Deploy\n\n```yaml\nuses: {action}\n\
                 with:\n  environment: production\n  ready: 10s\n{stop}{run}```\n"
            ),
        );
        repo.file(
            "runbooks/back.md",
            format!(
                "---\nname: back\n---\n# Back\n\n## Steps\n\n### 1. Choose\n\n```yaml {{id=choose}}\nuses: rollback.choose\nwith: \
                 {{ environment: production }}\n```\n\n### 2. Back\n\n```yaml\nuses: deploy.previous\nwith:\n  environment: \
                 production\n  version: \"{{{{ outputs.choose.to }}}}\"\n  ready: 10s\n{run}```\n"
            ),
        );
        repo.commit("feat: begin");
        Self { strategy, repo, proxy, next: 0 }
    }

    fn windlass(&self, args: &[&str], death: &Death) -> Ran {
        let tools = self.repo.outside().join("tools");
        std::fs::create_dir_all(&tools).unwrap();
        let _none = std::fs::remove_file(self.sent());
        let die = if let Death::Sent(die) = death { die } else { "never" };
        let install = |name: &str, text: &str| {
            std::fs::write(tools.join(name), text).unwrap();
            std::fs::set_permissions(tools.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
        };
        let (name, filter, real) = match self.strategy {
            Strategy::BlueGreen | Strategy::Script => ("sh", OWN, "/bin/sh".to_owned()),
            Strategy::Rolling => {
                let hosts = self.repo.outside().join("hosts").display().to_string();
                let [blue, green] =
                    [self.proxy.servers.0, self.proxy.servers.1].map(|port| format!("127.0.0.1:{port}"));
                let ssh = SSH.replace("@HOSTS@", &hosts).replace("@BLUE@", &blue);
                install("ssh-here", &ssh.replace("@GREEN@", &green));
                ("ssh", COMMANDS, tools.join("ssh-here").display().to_string())
            }
        };
        let counted = COUNTED.replace("@FILTER@", filter).replace("@REAL@", &real).replace("@DIE@", die);
        install(name, &counted.replace("@SENT@", &self.sent().display().to_string()));
        let mut command = program(&self.repo);
        command.args(args).env("PATH", format!("{}:{}", tools.display(), std::env::var("PATH").unwrap()));
        command.env("WINDLASS_TEST_COUNT", self.repo.outside().join("writes"));
        if let Death::Write(point) = death {
            command.env("WINDLASS_TEST_DIE", point);
        }
        command.output().unwrap().into()
    }

    fn sent(&self) -> PathBuf {
        self.repo.outside().join("sent")
    }

    fn number(&self, file: &str) -> usize {
        let text = std::fs::read_to_string(self.repo.outside().join(file)).unwrap_or_default();
        text.lines().last().and_then(|line| line.trim().parse().ok()).unwrap_or_default()
    }

    /// Goes one way, killed once as told and then resumed. Gives whether it was.
    fn go(&mut self, way: Way, death: &Death) -> Result<bool, String> {
        let versions = ["0.1.0", "0.2.0"];
        let [was, version] = [self.next + 1, self.next].map(|at| versions[at % 2]);
        match way {
            Way::There => {
                self.next += 1;
                self.lead(&["run", "deploy", "--no-wait", "--version", version], version, death)
            }
            Way::Back => {
                self.windlass(&["run", "deploy", "--no-wait", "--version", version], &Death::Never)
                    .expect(0, &[]);
                self.lead(&["run", "back", "--no-wait"], was, death)
            }
        }
    }

    /// Runs what leads to `version`.
    fn lead(&self, args: &[&str], version: &str, death: &Death) -> Result<bool, String> {
        let (before, runs) = (self.deployed(version), newest(&self.repo).map(|(run, _)| run));
        let mut ran = self.windlass(args, death);
        let was_killed = ran.killed;
        let mut resumed = 0;
        while ran.code != Some(0) {
            resumed += 1;
            if resumed > 3 || !(was_killed || resumed > 1) {
                return Err(format!("{death:?}: {}", ran.shown()));
            }
            ran = match newest(&self.repo).filter(|(run, _)| Some(run) != runs.as_ref()) {
                // It died when all was done and said.
                Some((_, state)) if state.status.is_final() => break,
                Some((run, _)) => self.windlass(&["resume", "--no-wait", &run.0], &Death::Never),
                // It died before there was a run.
                None => self.windlass(args, &Death::Never),
            };
        }
        self.judge(version).map_err(|wrong| format!("{death:?}: {wrong}"))?;
        let hosts = if self.strategy == Strategy::Rolling { 2 } else { 1 };
        match self.deployed(version) == before + hosts {
            true => Ok(was_killed),
            false => Err(format!("{death:?}: deployed {before} times, and then {}", self.deployed(version))),
        }
    }

    /// One version everywhere, as it was deployed, and no lock.
    fn judge(&self, version: &str) -> Result<(), String> {
        let ran = self.windlass(&["env", "production", "--json"], &Death::Never);
        let told = &ran.json()["environments"][0];
        let shown = serde_json::to_string_pretty(told).unwrap();
        let is_live = told["hosts"].as_array().unwrap().iter().all(|host| host["state"] == "live");
        let is_good = told["version"] == version && told["drift"] == false && told["lock"] == Value::Null;
        let front = ask(self.proxy.front, "/health").unwrap();
        match is_live && is_good && front.contains(version) {
            true => Ok(()),
            false => Err(format!("not {version} everywhere: {front} {shown}")),
        }
    }

    /// How often a version was deployed to its end, by the hosts' own histories.
    fn deployed(&self, version: &str) -> usize {
        let folders = match self.strategy {
            Strategy::BlueGreen | Strategy::Script => {
                vec![self.repo.path().join(".git/windlass/environments/production")]
            }
            Strategy::Rolling => {
                ["blue", "green"].map(|host| self.repo.outside().join("hosts").join(host).join("shop")).into()
            }
        };
        let history =
            |folder: &PathBuf| std::fs::read_to_string(folder.join(".windlass/history")).unwrap_or_default();
        let lives = |line: &str| {
            let record: Value = serde_json::from_str(line).unwrap();
            record["version"] == version && record["state"] == "live"
        };
        folders.iter().map(|folder| history(folder).lines().filter(|line| lives(line)).count()).sum()
    }
}

fn survives(strategy: Strategy, way: Way) {
    let begin = Instant::now();
    let mut first = Stage::new(strategy);
    first.go(Way::There, &Death::Never).unwrap();
    let deploy = |version: &str, death: &Death| {
        first.windlass(&["run", "deploy", "--no-wait", "--version", version], death)
    };
    deploy("0.2.0", &Death::Never).expect(0, &[]);
    // The same again, and this time it is counted and cut: to the first version, or back to it.
    let there = |death: &Death| match way {
        Way::There => deploy("0.1.0", death),
        Way::Back => first.windlass(&["run", "back", "--no-wait"], death),
    };
    there(&Death::Never).expect(0, &[]);
    let (writes, sent) = (first.number("writes"), first.number("sent"));
    assert!(writes > 4 && sent > 4, "{writes} writes and {sent} operations");
    deploy("0.2.0", &Death::Never).expect(0, &[]);
    // A harness that does not see what is unfinished proves nothing.
    let middle = Death::Sent(format!("after:{}", sent / 2));
    let ran = there(&middle);
    assert!(ran.killed, "{}", ran.shown());
    first.judge("0.1.0").unwrap_err();
    first.judge("0.2.0").unwrap_err();

    let mut deaths = Vec::new();
    for write in 0..writes {
        deaths.extend(["before", "after"].map(|when| Death::Write(format!("{when}:{write}"))));
    }
    // Each operation once: alternately before it is sent, and after it was done. Host by host there are three times as many,
    // and before each way back there is a deployment: every third, and every sixth.
    let every = match (strategy, way) {
        (Strategy::Rolling, Way::There) => 3,
        (Strategy::Rolling, Way::Back) => 6,
        (Strategy::BlueGreen | Strategy::Script, _) => 1,
    };
    for number in (1..=sent).step_by(every) {
        let when = if (number / every).is_multiple_of(2) { "before" } else { "after" };
        deaths.push(Death::Sent(format!("{when}:{number}")));
    }
    let (next, killed, requests) = (AtomicUsize::new(0), AtomicUsize::new(0), Mutex::new(0));
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                let mut stage = Stage::new(strategy);
                stage.go(Way::There, &Death::Never).unwrap();
                let customers = Customers::begin(([127, 0, 0, 1], stage.proxy.front).into(), 2);
                while let Some(death) = deaths.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let was_killed = stage.go(way, death).unwrap_or_else(|wrong| panic!("{wrong}"));
                    killed.fetch_add(usize::from(was_killed), Ordering::Relaxed);
                }
                let tally = customers.end();
                let bad: Vec<&String> = tally.bad.iter().take(5).collect();
                assert!(tally.bad.is_empty(), "{} of {} failed: {bad:?}", tally.bad.len(), tally.good);
                *requests.lock().unwrap() += tally.good;
            });
        }
    });
    let killed = killed.into_inner();
    println!(
        "killed {killed} times at {writes} writes and {sent} operations of {strategy:?} {way:?}, {} requests, in {:?}",
        requests.into_inner().unwrap(),
        begin.elapsed()
    );
    // The last writes may be one another time, and the last operation is done when nobody waits any more.
    assert!(killed + 4 >= deaths.len(), "only {killed} of {} died", deaths.len());
}

#[test]
fn colours_survive_death_at_each_of_their_points() {
    survives(Strategy::BlueGreen, Way::There);
}

#[test]
fn host_by_host_survives_death_at_each_of_its_points() {
    survives(Strategy::Rolling, Way::There);
}

#[test]
fn a_script_survives_death_at_each_of_its_points() {
    survives(Strategy::Script, Way::There);
}

#[test]
fn the_way_back_to_a_colour_survives_death_at_each_of_its_points() {
    survives(Strategy::BlueGreen, Way::Back);
}

#[test]
fn the_way_back_host_by_host_survives_death_at_each_of_its_points() {
    survives(Strategy::Rolling, Way::Back);
}
