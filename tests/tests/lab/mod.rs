//! Deployments to real hosts: the lab's sshd, dockerd, compose and registry, which the first test here starts.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde_json::Value;
use windlass_testkit::repo::RepoBuilder;

use crate::support::{Ran, newest, program};

mod faults;
mod front;
mod kills;
mod proxies;
mod releases;
mod shop;
mod strategies;
mod watches;

/// Set where the lab may be started: it needs root, and installs servers from Debian's packages.
const WITH: &str = "WINDLASS_WITH_LAB";

/// The lab's hosts.
const HOSTS: [&str; 2] = ["lab1", "lab2"];

/// The lab, up and with the sample service's images in its registry.
pub struct Lab {
    folder: PathBuf,
    registry: String,
    /// The images' repository, without a tag.
    image: String,
    // Of two test processes on one machine only one has the lab.
    _only: std::fs::File,
}

/// The lab, started when it is not up; `None` when it was left out, which is said.
pub fn lab(test: &str) -> Option<(&'static Lab, RwLockReadGuard<'static, ()>)> {
    is_wanted(test).then(|| {
        let turn = TURN.read().unwrap_or_else(PoisonError::into_inner);
        (LAB.get_or_init(Lab::start), turn)
    })
}

/// The same for this test alone: beside one that keeps both processors busy no other could measure anything.
pub fn lab_alone(test: &str) -> Option<(&'static Lab, RwLockWriteGuard<'static, ()>)> {
    is_wanted(test).then(|| {
        let turn = TURN.write().unwrap_or_else(PoisonError::into_inner);
        (LAB.get_or_init(Lab::start), turn)
    })
}

static LAB: OnceLock<Lab> = OnceLock::new();
static TURN: RwLock<()> = RwLock::new(());

fn is_wanted(test: &str) -> bool {
    let wanted = std::env::var_os(WITH).is_some();
    if !wanted {
        // Not to the test's own output, which is shown for failures only.
        let _said = std::fs::write("/dev/stderr", format!("{WITH} is not set: `{test}` was left out\n"));
    }
    wanted
}

impl Lab {
    fn start() -> Self {
        let folder =
            PathBuf::from(std::env::var_os("WINDLASS_LAB").unwrap_or("/var/tmp/windlass-lab".into()));
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("lab");
        std::fs::create_dir_all(&folder).unwrap();
        let only = std::fs::File::create(folder.join("only")).unwrap();
        only.lock().unwrap();
        let is_up = || {
            let answers = |host: &str| {
                let config = folder.join("ssh_config");
                let mut command = Command::new("ssh");
                command.arg("-F").arg(config).args([
                    "-o",
                    "BatchMode=yes",
                    "-o",
                    "ConnectTimeout=3",
                    host,
                    "docker info",
                ]);
                command.output().is_ok_and(|output| output.status.success())
            };
            folder.join("lab.env").is_file() && answers("lab1") && answers("lab2")
        };
        if !is_up() {
            let mut up = Command::new(scripts.join("up.sh"));
            let output = up.env("WINDLASS_LAB", &folder).stdin(Stdio::null()).output().unwrap();
            assert!(
                output.status.success() && is_up(),
                "the lab cannot be started; {}/up.sh said:\n{}\n{}\nIt needs root, for network namespaces. Without \
                 {WITH} these tests are left out.",
                scripts.display(),
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
        }
        let text = std::fs::read_to_string(folder.join("lab.env")).unwrap();
        let registry =
            text.lines().find_map(|line| line.strip_prefix("WINDLASS_LAB_REGISTRY=")).unwrap().to_owned();
        let mut lab = Self { folder, registry, image: String::new(), _only: only };
        // An earlier run that was cut off has left services, whose health checks would slow down everything here.
        for host in HOSTS {
            lab.on(
                host,
                "ids=$(docker ps -aq); [ -z \"$ids\" ] || docker rm -f $ids; docker network prune -f",
            );
        }
        lab.image = lab.build(&scripts.join("service.rs"));
        lab
    }

    /// Builds the sample service and puts it into the registry, a version each, unless it is there.
    fn build(&self, source: &Path) -> String {
        let text = std::fs::read_to_string(source).unwrap();
        let digest = windlass_core::plan::sha256_hex(text.as_bytes());
        let image = format!("{}/sample-{}", self.registry, &digest[..10]);
        let place = tempfile::tempdir().unwrap();
        let mut compiler = Command::new(std::env::var_os("RUSTC").unwrap_or("rustc".into()));
        compiler.args(["--edition", "2024", "-O", "-C", "target-feature=+crt-static", "-C", "strip=symbols"]);
        said(compiler.arg(source).arg("-o").arg(place.path().join("service")));
        for version in ["0.1.0", "0.2.0", "0.3.0"] {
            let reference = format!("{image}:{version}");
            let script = format!(
                "docker manifest inspect --insecure {reference} >/dev/null 2>&1 && {{ cat >/dev/null; exit; }}
                 docker import --change 'ENTRYPOINT [\"/service\"]' --change 'ENV VERSION={version}' - {reference} &&
                 docker push -q {reference} && docker rmi {reference}"
            );
            let tar = Command::new("tar")
                .current_dir(place.path())
                .args(["c", "service"])
                .stdout(Stdio::piped())
                .spawn();
            said(self.ssh("lab1", &script).stdin(tar.unwrap().stdout.unwrap()));
        }
        image
    }

    /// Over a connection that is kept for a while: making one costs more than most of what tests ask.
    fn ssh(&self, host: &str, script: &str) -> Command {
        let mut command = Command::new("ssh");
        command.arg("-F").arg(self.folder.join("ssh_config")).args(["-o", "BatchMode=yes"]);
        let path = format!("ControlPath={}", self.folder.join("tests-%n").display());
        command.args(["-o", &path, "-o", "ControlMaster=auto", "-o", "ControlPersist=20", host, script]);
        command.stdin(Stdio::null());
        command
    }

    /// Runs a script on a host; what it said.
    pub fn on(&self, host: &str, script: &str) -> String {
        said(&mut self.ssh(host, script))
    }
}

fn said(command: &mut Command) -> String {
    let output: Output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// A project with a sample service, and a folder and a port of its own on the lab's hosts.
pub struct Shop {
    pub repo: RepoBuilder,
    pub lab: &'static Lab,
    name: String,
    port: u16,
}

/// How the service behaves, and what the environment says beside the usual.
#[derive(Default, Clone, Copy)]
pub struct Setup<'a> {
    /// How it is deployed; with `deploy.compose` when empty.
    pub action: &'a str,
    pub hosts: &'a [&'a str],
    pub environment: &'a str,
    pub with: &'a str,
}

impl Shop {
    /// Nothing of it is on the hosts.
    pub fn new(lab: &'static Lab, name: &str, port: u16, setup: Setup<'_>) -> Self {
        let shop = Self { repo: RepoBuilder::new(), lab, name: name.to_owned(), port };
        shop.clean();
        shop.configure(setup);
        shop.behave("good");
        shop
    }

    /// Writes the configuration and the runbook.
    pub fn configure(&self, setup: Setup<'_>) {
        let hosts = if setup.hosts.is_empty() { &HOSTS } else { setup.hosts };
        let config = self.repo.outside().join("ssh_config");
        self.repo.file(
            "windlass.toml",
            format!(
                "[environments.production]\nhealth = \"http://{{host}}:{}/health\"\nversion = \"$.version\"\n\
                 hosts = {hosts:?}\nssh_config = {:?}\nfolder = \"/srv/{}\"\ncompose = [\"compose.yml\"]\n\
                 min_healthy = \"1ms\"\n{}",
                self.port,
                config.display().to_string(),
                self.name,
                setup.environment
            ),
        );
        if !config.exists() {
            std::fs::copy(self.lab.folder.join("ssh_config"), config).unwrap();
        }
        self.repo.file(
            "runbooks/deploy.md",
            format!(
                "---\nname: deploy\nskills: [deploy]\n---\n# Deploy\n\n## Steps\n\n### 1. Deploy\n\n```yaml\n\
                 uses: {}\nwith:\n  environment: production\n  ready: 12s\n{}```\n",
                if setup.action.is_empty() { "deploy.compose" } else { setup.action },
                setup.with
            ),
        );
        self.commit();
    }

    /// The service behaves so from its next version on.
    pub fn behave(&self, behaviour: &str) {
        self.repo.file(
            "compose.yml",
            format!(
                "services:\n  web:\n    image: {}:${{VERSION}}\n    ports: [\"${{PORT:-{}}}:8080\"]\n    restart: always\n    \
                 stop_signal: SIGKILL\n    environment: {{ BEHAVIOUR: {behaviour} }}\n    healthcheck: {{ test: [CMD, \
                 /service, check], interval: 1s, timeout: 2s, retries: 5 }}\n",
                self.lab.image, self.port
            ),
        );
        self.commit();
    }

    fn commit(&self) {
        self.repo.git(&["add", "--all"]);
        if !self.repo.git(&["status", "--porcelain"]).is_empty() {
            self.repo.git(&["commit", "--quiet", "--message", "feat: go on"]);
        }
    }

    /// Deploys a version.
    pub fn deploy(&self, version: &str) -> Ran {
        self.windlass(&["run", "deploy", "--no-wait", "--version", version])
    }

    /// Tries what failed in the newest run again.
    pub fn retry(&self) {
        let (run, _) = newest(&self.repo).unwrap();
        self.windlass(&["retry", "--no-wait", &run.0]).expect(0, &[]);
    }

    pub fn windlass(&self, args: &[&str]) -> Ran {
        program(&self.repo).args(args).output().unwrap().into()
    }

    /// What `windlass env` tells.
    pub fn told(&self) -> Value {
        let mut told = self.windlass(&["env", "production", "--json"]).expect(0, &[]).json();
        told["environments"][0].take()
    }

    /// One version everywhere, as it was deployed, healthy, and no lock.
    pub fn expect(&self, version: &str) {
        let told = self.told();
        let shown = serde_json::to_string_pretty(&told).unwrap();
        assert_eq!(
            (&told["version"], &told["drift"], &told["lock"]),
            (&version.into(), &false.into(), &Value::Null),
            "{shown}"
        );
        for host in told["hosts"].as_array().unwrap() {
            assert_eq!(host["state"], "live", "{shown}");
        }
    }

    /// How many containers a host has of the service.
    pub fn containers(&self, host: &str) -> usize {
        let filter = format!("docker ps -aq --filter label=com.docker.compose.project={}", self.name);
        self.lab.on(host, &filter).lines().count()
    }

    /// What runs on a host in a colour, as `docker ps` has it.
    pub fn runs_in(&self, host: &str, colour: &str) -> String {
        let project = format!("{}-{colour}", self.name);
        self.lab
            .on(host, &format!("docker ps -q --no-trunc --filter label=com.docker.compose.project={project}"))
    }

    /// How often a version was deployed to its end, by a host's own history.
    pub fn deployed(&self, host: &str, version: &str) -> usize {
        let text =
            self.lab.on(host, &format!("cat /srv/{}/.windlass/history 2>/dev/null || true", self.name));
        let lives = |line: &str| {
            let record: Value = serde_json::from_str(line).unwrap();
            record["version"] == version && record["state"] == "live"
        };
        text.lines().filter(|line| lives(line)).count()
    }

    /// After a failure: what its containers are and said, and they disturb no other test any more. What is on disk stays.
    fn show_and_stop(&self) {
        let name = &self.name;
        for host in HOSTS {
            let script = format!(
                "uptime; for project in {name} {name}-blue {name}-green; do for id in $(docker ps -aq --filter \
                 label=com.docker.compose.project=$project); do docker inspect --format '{{{{.Name}}}}: {{{{json \
                 .State}}}}' $id; docker logs --tail 20 $id; docker update --restart no $id; docker kill $id; done; \
                 done 2>&1"
            );
            if let Ok(output) = self.lab.ssh(host, &script).output() {
                println!("{host}:\n{}", String::from_utf8_lossy(&output.stdout));
            }
        }
    }

    fn clean(&self) {
        let name = &self.name;
        for host in HOSTS {
            self.lab.on(
                host,
                &format!(
                    "for project in {name} {name}-blue {name}-green; do ids=$(docker ps -aq --filter \
                     label=com.docker.compose.project=$project); [ -z \"$ids\" ] || docker rm -f $ids >/dev/null; docker \
                     network rm ${{project}}_default >/dev/null 2>&1; done; umount /srv/{name} 2>/dev/null; rm -rf \
                     /srv/{name}"
                ),
            );
        }
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.show_and_stop();
        } else {
            self.clean();
        }
    }
}
