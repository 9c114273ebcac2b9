//! What goes wrong on real hosts: nothing is touched, or everything goes back, and the words say what to do.

use std::io::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Setup, Shop, lab};
use crate::support::{Ran, program};

/// Names of ssh for the second host that do not work, each in its own way.
fn bad_names(shop: &Shop) {
    let place = shop.repo.outside();
    for name in ["stranger", "other-host"] {
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(place.join(name))
            .status();
        assert!(made.unwrap().success());
    }
    let other = std::fs::read_to_string(place.join("other-host.pub")).unwrap();
    std::fs::write(place.join("known-changed"), format!("second {other}")).unwrap();
    let (lab, place) = (shop.lab.folder.display(), place.display());
    let good = format!("HostName 10.231.7.12\n  User root\n  IdentitiesOnly yes\n  IdentityFile {lab}/key\n");
    let known = format!("  UserKnownHostsFile {lab}/known_hosts\n  HostKeyAlias 10.231.7.12\n");
    let stranger = good.replace(&format!("{lab}/key"), &format!("{place}/stranger"));
    let text = format!(
        "Host gone\n  HostName 10.231.7.99\n\nHost silent\n  HostName 10.231.7.12\n  Port 23\n\nHost wrongkey\n  {stranger}{known}\n\
         Host changed\n  {good}  UserKnownHostsFile {place}/known-changed\n  HostKeyAlias second\n\n\
         Host unknown\n  {good}  UserKnownHostsFile /dev/null\n  StrictHostKeyChecking yes\n\n"
    );
    let mut file =
        std::fs::File::options().append(true).open(shop.repo.outside().join("ssh_config")).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

#[test]
fn nothing_is_touched_when_a_host_or_an_image_is_not_fit() {
    let Some((lab, _turn)) = lab("nothing_is_touched_when_a_host_or_an_image_is_not_fit") else { return };
    let shop = Shop::new(lab, "notfit", 8111, Setup::default());
    bad_names(&shop);
    for (host, expect) in [
        ("gone", "gone cannot be reached from here: there is no route"),
        ("silent", "silent refuses connections: sshd is not running there"),
        ("wrongkey", "wrongkey does not let us in: put the public key into its authorized_keys"),
        ("changed", "changed shows another host key than the one ssh knows"),
        ("unknown", "the host key of unknown is not known"),
        ("nowhere.invalid", "nowhere.invalid has no address"),
    ] {
        shop.configure(Setup { hosts: &["lab1", host], ..Setup::default() });
        shop.deploy("0.1.0").expect(1, &[expect, "nothing was touched"]);
        shop.windlass(&["env"]).expect(0, &["not known:", expect.split(':').next().unwrap(), "lab1"]);
        shop.windlass(&["cancel", "--yes"]);
    }
    let digest = format!("  images: {{ web: \"sha256:{}\" }}\n", "0".repeat(64));
    lab.on("lab2", "mkdir -p /srv/notfit && mount -t tmpfs -o size=4m tmpfs /srv/notfit");
    for (setup, version, expect) in [
        (Setup::default(), "0.1.0", " MiB left, and 32 MiB are needed"),
        (Setup::default(), "7.7.7", "docker compose pull failed"),
        (
            Setup { with: &digest, ..Setup::default() },
            "0.1.0",
            "another image under this name than the one that was built",
        ),
    ] {
        shop.configure(setup);
        shop.deploy(version).expect(1, &[expect]);
        lab.on("lab2", "umount /srv/notfit 2>/dev/null; true");
        shop.windlass(&["lock", "status"]).expect(0, &["free"]);
        shop.windlass(&["cancel", "--yes"]);
    }
    assert_eq!((shop.containers("lab1"), shop.containers("lab2")), (0, 0));
    shop.windlass(&["env"]).expect(0, &["production  nothing deployed"]);
}

#[test]
fn what_does_not_come_up_goes_back_everywhere() {
    let Some((lab, _turn)) = lab("what_does_not_come_up_goes_back_everywhere") else { return };
    let shop =
        Shop::new(lab, "goesback", 8112, Setup { environment: "batches = [\"100%\"]\n", ..Setup::default() });
    lab.on("lab2", "docker rm -f squatter 2>/dev/null; true");
    shop.deploy("0.1.0").expect(0, &[]);
    for (behaviour, expect) in [
        ("silent", "web is"),
        ("crash", "crashes again and again: restarted"),
        ("other", "answered with the version \"9.9.9\", not 0.2.0"),
    ] {
        shop.behave(behaviour);
        let ran = shop
            .deploy("0.2.0")
            .expect(1, &[expect, "the deployment was given up", "lab1, lab2: back to 0.1.0"]);
        assert!(behaviour != "crash" || ran.shown().contains("told to crash"), "{}", ran.shown());
        shop.expect("0.1.0");
        shop.windlass(&["cancel", "--yes"]);
    }
    // Something else took the port meanwhile: what was there before cannot come back either, and that is told.
    shop.behave("good");
    lab.on("lab2", "docker stop -t 0 goesback-web-1 && docker rename goesback-web-1 aside");
    lab.on(
        "lab2",
        "docker run -d --name squatter -p 8112:8080 $(docker inspect aside --format '{{.Config.Image}}')",
    );
    let ran = shop
        .deploy("0.2.0")
        .expect(1, &["port is already allocated", "lab1: back to 0.1.0", "lab2 could not be put back"]);
    assert!(ran.shown().contains("lab2"), "{}", ran.shown());
    println!("{}", ran.shown());
    shop.windlass(&["env"]).expect(0, &["lab2  0.2.0  differs", "a rollback did not come to its end"]);
    lab.on("lab2", "docker rm -f squatter");
    shop.retry();
    shop.expect("0.2.0");
}

/// The connection dies while compose works, and the process that kept it is gone: the step fails or goes on, a retry
/// finds what is there, and in the end there is one version.
#[test]
fn a_connection_cut_in_the_middle_of_up_is_mended() {
    let Some((lab, _turn)) = lab("a_connection_cut_in_the_middle_of_up_is_mended") else { return };
    let shop = Shop::new(lab, "cutoff", 8113, Setup::default());
    shop.deploy("0.1.0").expect(0, &[]);
    let child =
        program(&shop.repo).args(["run", "deploy", "--no-wait", "--version", "0.2.0"]).spawn().unwrap();
    let begin = Instant::now();
    // The second host begins once the first one is done.
    while lab.on("lab2", "grep -c updating /srv/cutoff/.windlass/record.json || true").trim() != "1" {
        assert!(begin.elapsed() < Duration::from_secs(60), "it never began");
    }
    let sockets = shop.repo.path().join(".git/windlass/ssh");
    let masters = masters(&sockets.display().to_string());
    assert!(!masters.is_empty(), "no connection is kept");
    for master in masters {
        kill(Pid::from_raw(master), Signal::SIGKILL).unwrap();
    }
    assert!(std::fs::read_dir(&sockets).unwrap().next().is_some(), "no stale socket was left to be found");
    let ran: Ran = child.wait_with_output().unwrap().into();
    let told = ran.shown();
    assert!(ran.code == Some(0) || told.contains("was cut in the middle of a command"), "{told}");
    if ran.code != Some(0) {
        shop.retry();
    }
    shop.expect("0.2.0");
    assert_eq!((shop.containers("lab1"), shop.containers("lab2")), (1, 1));
    assert_eq!((shop.deployed("lab1", "0.2.0"), shop.deployed("lab2", "0.2.0")), (1, 1));
}

/// The processes that keep connections with sockets under this folder.
fn masters(folder: &str) -> Vec<i32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        if line.contains(folder) && line.contains("\0-M\0") {
            found.push(pid);
        }
    }
    found
}
