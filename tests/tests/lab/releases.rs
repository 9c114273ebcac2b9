//! What goes well: out, again, back, drift told, locks shown and broken.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use windlass_engine::journal::Journal as _;

use super::{Setup, Shop, lab};
use crate::support::{newest, program};

#[test]
fn a_version_goes_out_and_comes_back() {
    let Some((lab, _turn)) = lab("a_version_goes_out_and_comes_back") else { return };
    let shop = Shop::new(lab, "outandback", 8101, Setup::default());
    shop.windlass(&["env"]).expect(0, &["production  nothing deployed"]);
    shop.deploy("0.1.0").expect(0, &["lab1: 0.1.0 comes up", "lab2: 0.1.0 comes up"]);
    shop.expect("0.1.0");
    // Twice is once: no container is made anew.
    let ids =
        || lab.on("lab2", "docker ps -q --no-trunc --filter label=com.docker.compose.project=outandback");
    let before = ids();
    let kept = || lab.on("lab2", "ls -l --time-style=full-iso /srv/outandback/.windlass");
    let written = kept();
    shop.deploy("0.1.0").expect(0, &[]);
    assert_eq!((ids(), kept()), (before, written), "there was something to do");

    shop.deploy("0.2.0").expect(0, &[]);
    shop.expect("0.2.0");
    let told = shop.told();
    let image = told["hosts"][0]["images"]["web"].as_str().unwrap().to_owned();
    assert!(image.contains("@sha256:") && told["hosts"][1]["images"]["web"] == image.as_str(), "{told}");

    // Somebody stops a container by hand: the truth is told, by its name.
    lab.on("lab2", "docker stop -t 0 outandback-web-1");
    shop.windlass(&["env"])
        .expect(0, &["lab2  0.2.0  differs", "web is exited (exit code 137)", "lab1  0.2.0  as deployed"]);
    lab.on("lab2", "docker start outandback-web-1");

    let begin = Instant::now();
    shop.windlass(&["rollback", "--yes"]).expect(6, &["lab1: back to 0.1.0", "lab2: back to 0.1.0"]);
    println!("rolled back in {:?}", begin.elapsed());
    shop.expect("0.1.0");
    assert_eq!((shop.containers("lab1"), shop.containers("lab2")), (1, 1));
    assert!(
        std::fs::read_dir(shop.repo.path().join(".git/windlass/ssh"))
            .map_or(true, |mut left| left.next().is_none())
    );
}

/// A process that was stopped and forgotten: its lock is broken, another run deploys, and when it wakes up the hosts
/// refuse it.
#[test]
fn whoever_lost_the_lock_changes_nothing_any_more() {
    let Some((lab, _turn)) = lab("whoever_lost_the_lock_changes_nothing_any_more") else { return };
    let shop = Shop::new(lab, "lockbroken", 8102, Setup::default());
    shop.deploy("0.1.0").expect(0, &[]);
    let sleeper =
        program(&shop.repo).args(["run", "deploy", "--no-wait", "--version", "0.2.0"]).spawn().unwrap();
    let begin = Instant::now();
    while shop.lab.on("lab1", "grep -c updating /srv/lockbroken/.windlass/record.json || true").trim() != "1"
    {
        assert!(begin.elapsed() < Duration::from_secs(60), "it never began");
    }
    let pid = Pid::from_raw(i32::try_from(sleeper.id()).unwrap());
    kill(pid, Signal::SIGSTOP).unwrap();
    let (run, _) = newest(&shop.repo).unwrap();
    shop.windlass(&["lock", "status"]).expect(0, &["production  locked by", &run.0]);
    shop.deploy("0.3.0").expect(1, &["the environment is locked by", "windlass lock break"]);
    shop.windlass(&["lock", "break", "production"]).expect(2, &["--reason"]);
    shop.windlass(&["lock", "break", "production", "--reason", "it sleeps", "--as", "ann"])
        .expect(0, &["took the lock away from", &run.0]);
    shop.windlass(&["lock", "status"]).expect(0, &["production  free", "ann: it sleeps"]);
    shop.retry();
    shop.expect("0.3.0");
    kill(pid, Signal::SIGCONT).unwrap();
    let output: crate::support::Ran = sleeper.wait_with_output().unwrap().into();
    // Whichever it hears of first: its lease, or a host.
    let told = output.expect(1, &[]).shown();
    assert!(
        told.contains("refused this step") || told.contains("another process has taken it over"),
        "{told}"
    );
    shop.expect("0.3.0");
    let journal =
        windlass_engine::journal::SqliteJournal::open(&shop.repo.path().join(".git/windlass/journal.db"))
            .unwrap();
    assert_eq!(journal.runs().unwrap().len(), 3);
}

#[test]
fn of_two_at_once_one_deploys_and_the_other_says_who() {
    let Some((lab, _turn)) = lab("of_two_at_once_one_deploys_and_the_other_says_who") else { return };
    let shop = Shop::new(lab, "twoatonce", 8103, Setup::default());
    shop.deploy("0.1.0").expect(0, &[]);
    let both: Vec<_> = ["0.2.0", "0.3.0"]
        .map(|version| {
            program(&shop.repo).args(["run", "deploy", "--no-wait", "--version", version]).spawn().unwrap()
        })
        .into_iter()
        .map(|child| crate::support::Ran::from(child.wait_with_output().unwrap()))
        .collect();
    let won: Vec<bool> = both.iter().map(|ran| ran.code == Some(0)).collect();
    assert_eq!(won.iter().filter(|won| **won).count(), 1, "{}\n{}", both[0].shown(), both[1].shown());
    let loser = &both[usize::from(won[0])];
    assert!(loser.shown().contains("the environment is locked by deploy-0."), "{}", loser.shown());
    shop.expect(if won[0] { "0.2.0" } else { "0.3.0" });
}
