//! Everything that must hold before a change lands: formatting, lints, documentation, licences, generated files, tests.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::{generate, run, start};

/// Programs that tests use for real, and the Debian package each comes from.
const PARTS: &[(&str, &str)] = &[
    ("git", "git"),
    ("bash", "bash"),
    ("make", "make"),
    ("gpg", "gnupg"),
    ("ssh-keygen", "openssh-client"),
    ("python3", "python3"),
    ("script", "bsdutils"),
    ("unshare", "util-linux"),
    ("prometheus", "prometheus"),
    ("haproxy", "haproxy"),
    ("nginx", "nginx-light"),
    ("caddy", "caddy"),
    ("flock", "util-linux"),
    ("busybox", "busybox"),
    ("ssh", "openssh-client"),
    ("initdb", "postgresql"),
    ("restic", "restic"),
    ("pgbackrest", "pgbackrest"),
    ("docker-registry", "docker-registry"),
];

/// Set where the lab may be started.
const WITH_LAB: &str = "WINDLASS_WITH_LAB";

/// The version of cargo-deny that is installed when there is none.
const DENY: &str = "0.20.2";

/// Runs every check, cheapest first.
pub fn everything(root: &Path) -> Result<(), String> {
    let begin = Instant::now();
    parts(root)?;
    run(root, "cargo", &["fmt", "--all", "--check"])?;
    generate::check(root)?;
    run(root, "cargo", &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])?;
    // It needs root and installs servers, so elsewhere than in continuous integration somebody must ask for it.
    let with_lab = std::env::var_os(WITH_LAB).is_some() || std::env::var_os("CI").is_some();
    if with_lab {
        run(root, "tests/lab/install.sh", &[])?;
    } else {
        println!("the tests on the lab's hosts are left out: {WITH_LAB}=1 runs them, as root");
    }
    // The end-to-end tests start the lab when it is not up; then it is nobody else's, and does not stay.
    let lab_was_up = Path::new("/run/netns/lab1").exists();
    let mut tests = Command::new("cargo");
    tests.args(["test", "--workspace", "--locked", "--no-fail-fast"]);
    if with_lab {
        tests.env(WITH_LAB, "1");
    }
    let tested = start(root, &mut tests);
    if !lab_was_up && Path::new("/run/netns/lab1").exists() {
        run(root, "tests/lab/down.sh", &[])?;
    }
    tested?;
    run(root, "cargo", &["doc", "--workspace", "--no-deps", "--locked", "--document-private-items"])?;
    deny(root)?;
    println!("every check passed in {:.0} s", begin.elapsed().as_secs_f64());
    Ok(())
}

/// Installs what tests need where that is possible, and says what is missing where it is not: nothing is skipped.
fn parts(root: &Path) -> Result<(), String> {
    let missing: Vec<&str> =
        PARTS.iter().filter(|(program, _)| !is_there(program)).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let may_install = is_there("apt-get") && std::env::var("CI").is_ok();
    if !may_install {
        return Err(format!("the tests need these packages: {}", missing.join(", ")));
    }
    run(root, "apt-get", &["update", "-qq"])?;
    let mut arguments = vec!["install", "-y", "-qq", "--no-install-recommends"];
    arguments.extend(missing);
    run(root, "apt-get", &arguments)
}

/// Licences, sources and duplicates of dependencies. Advisories need a database from the network and are looked at
/// where that can be had.
fn deny(root: &Path) -> Result<(), String> {
    if !is_there("cargo-deny") {
        run(root, "cargo", &["install", "cargo-deny", "--locked", "--version", DENY])?;
    }
    run(root, "cargo", &["deny", "check", "licenses", "bans", "sources"])
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps PostgreSQL's programs out of `PATH`.
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let apart = versions.map(|version| version.path().join("bin"));
    std::env::split_paths(&path).chain(apart).any(|folder| folder.join(program).is_file())
        || Command::new(program).arg("--version").output().is_ok()
}
