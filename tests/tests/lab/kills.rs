//! Windlass killed at every command it sends to a host, before the command and after it, and resumed: one version
//! everywhere, no lock left, nothing doubled.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use super::front::Front;
use super::strategies::Colours;
use super::{HOSTS, Lab, Setup, Shop, lab_alone};
use crate::support::{Ran, newest, program};

/// How many deployments go on at a time.
const WORKERS: u16 = 3;

/// Counts what is sent to hosts, and kills who sends it at the command of that number.
const SSH: &str = r#"#!/bin/sh
case " $* " in *" ControlMaster=no "*) ;; *) exec "$REAL" "$@" ;; esac
exec 9>>"$SENT.lock"
flock 9
number=$(($(cat "$SENT" 2>/dev/null || echo 0) + 1))
echo "$number" >"$SENT"
exec 9>&-
[ "before:$number" != "$DIE" ] || { kill -9 $PPID; exit 1; }
"$REAL" "$@"
code=$?
[ "after:$number" != "$DIE" ] || kill -9 $PPID
exit $code
"#;

struct Worker {
    shop: Shop,
    next: u32,
    /// What stands in front of its colours, where it has some.
    fronts: Vec<Front>,
}

impl Worker {
    fn run(&self, args: &[&str], die: &str) -> Ran {
        let tools = self.shop.repo.outside().join("tools");
        let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
        let sent = self.sent();
        let _none = std::fs::remove_file(&sent);
        let mut command = program(&self.shop.repo);
        command.args(args).env("PATH", path);
        // Of a process's environment only some is passed on, this among it.
        let mut script = SSH.replace("$SENT", &sent.display().to_string());
        script = script.replace("$DIE", die).replace("$REAL", &real_ssh());
        std::fs::create_dir_all(&tools).unwrap();
        std::fs::write(tools.join("ssh"), script).unwrap();
        std::fs::set_permissions(tools.join("ssh"), std::fs::Permissions::from_mode(0o755)).unwrap();
        command.output().unwrap().into()
    }

    fn sent(&self) -> std::path::PathBuf {
        self.shop.repo.outside().join("sent")
    }

    /// Deploys the other version, killed once as told, and judges what came of it. Gives how often something was sent.
    fn deploy(&mut self, die: &str) -> u32 {
        let versions = ["0.1.0", "0.2.0"];
        let version = versions[self.next as usize % 2];
        self.next += 1;
        let before: Vec<usize> = HOSTS.map(|host| self.shop.deployed(host, version)).into();
        let mut ran = self.run(&["run", "deploy", "--no-wait", "--version", version], die);
        let sent =
            std::fs::read_to_string(self.sent()).unwrap_or_default().trim().parse().unwrap_or_default();
        let was_killed = ran.killed;
        assert!(was_killed || ran.code == Some(0), "{die}: {}", ran.shown());
        let mut resumed = 0;
        while ran.code != Some(0) {
            resumed += 1;
            assert!(resumed < 4, "{die}: {}", ran.shown());
            let (run, _) = newest(&self.shop.repo).expect("there is a run");
            ran = self.run(&["resume", "--no-wait", &run.0], "never");
        }
        self.shop.expect(version);
        for (host, before) in HOSTS.iter().zip(before) {
            let containers = usize::from(self.fronts.is_empty());
            assert_eq!(self.shop.containers(host), containers, "{die}: {host}");
            assert_eq!(self.shop.deployed(host, version), before + 1, "{die}: {host} was told once");
        }
        assert_eq!(was_killed, resumed > 0, "{die}");
        sent
    }
}

fn real_ssh() -> String {
    let path = std::env::var_os("PATH").unwrap();
    let mut found =
        std::env::split_paths(&path).map(|folder| folder.join("ssh")).filter(|file| file.is_file());
    found.next().expect("the tests need ssh").display().to_string()
}

/// Which share of the commands a deployment is killed at; each kill costs more than ten seconds.
fn every(usual: u32) -> u32 {
    std::env::var("WINDLASS_LAB_KILLS_EVERY").map_or(usual, |every| every.parse().unwrap())
}

/// Kills deployments at every command of this `share`, alternately before it is sent and after it was done.
fn survives(worker: impl Fn(u16) -> Worker + Sync, workers: u16, share: u32) {
    let begin = Instant::now();
    let mut first = worker(0);
    first.deploy("never");
    let commands = first.deploy("never");
    assert!(commands > 20, "only {commands} commands were sent");
    // The health checks of what it left running cost more than all else here.
    drop(first);
    let next = AtomicU32::new(1);
    std::thread::scope(|scope| {
        for number in 0..workers {
            let (next, worker) = (&next, &worker);
            scope.spawn(move || {
                let mut worker = worker(10 + number);
                worker.deploy("never");
                loop {
                    let point = next.fetch_add(1, Ordering::Relaxed) * share;
                    if point > commands {
                        return;
                    }
                    let when = if (point / share).is_multiple_of(2) { "before" } else { "after" };
                    worker.deploy(&format!("{when}:{point}"));
                }
            });
        }
    });
    println!("killed at every {share}. of {commands} commands in {:?}", begin.elapsed());
}

#[test]
fn a_deployment_survives_death_at_any_of_its_commands() {
    let Some((lab, _turn)) = lab_alone("a_deployment_survives_death_at_any_of_its_commands") else { return };
    let worker = |number: u16| {
        let shop = Shop::new(lab, &format!("kills{number}"), 8120 + number, Setup::default());
        Worker { shop, next: 0, fronts: Vec::new() }
    };
    survives(worker, WORKERS, every(2));
}

/// A sample: with scripts in the place of compose the crash harness has every point of it.
#[test]
fn colours_survive_death_at_a_sample_of_their_commands() {
    let Some((lab, _turn)) = lab_alone("colours_survive_death_at_a_sample_of_their_commands") else { return };
    let worker = |number: u16| coloured(lab, number);
    survives(worker, 2, every(7));
}

fn coloured(lab: &'static Lab, number: u16) -> Worker {
    let Colours { shop, fronts, .. } = Colours::new(lab, &format!("colourkills{number}"), 8150 + number * 3);
    Worker { shop, next: 0, fronts }
}
