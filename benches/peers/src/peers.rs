//! The peers, their pinned versions, and how each is installed under `target/peers`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Result;

/// Where a peer comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A package of npm.
    Npm,
    /// A package of PyPI, in an environment of its own.
    PyPi,
    /// A crate, built here.
    Cargo,
}

/// A peer at one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// What `--only` and the tables call it.
    pub name: &'static str,
    /// Its package.
    pub package: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Where it comes from.
    pub source: Source,
    /// The program, from the folder it is installed in. `*` stands for one folder.
    pub program: &'static str,
}

/// The version of git-cliff that the goals are stated against.
pub const GOAL: &str = "git-cliff 2.12.0";

/// Every peer. The newest of semantic-release and conventional-changelog need a newer Node than Debian 12 has; these
/// are the newest for Node 20.
pub const PEERS: [Peer; 6] = [
    Peer {
        name: GOAL,
        package: "git-cliff",
        version: "2.12.0",
        source: Source::Npm,
        program: "node_modules/git-cliff-*/bin/git-cliff",
    },
    Peer {
        name: "git-cliff 2.14.2",
        package: "git-cliff",
        version: "2.14.2",
        source: Source::Npm,
        program: "node_modules/git-cliff-*/bin/git-cliff",
    },
    Peer {
        name: "cocogitto 7.0.0",
        package: "cocogitto",
        version: "7.0.0",
        source: Source::Cargo,
        program: "bin/cog",
    },
    Peer {
        name: "conventional-changelog 7.2.1",
        package: "conventional-changelog",
        version: "7.2.1",
        source: Source::Npm,
        program: "node_modules/.bin/conventional-changelog",
    },
    Peer {
        name: "commitizen 4.19.3",
        package: "commitizen",
        version: "4.19.3",
        source: Source::PyPi,
        program: "bin/cz",
    },
    Peer {
        name: "semantic-release 24.2.9",
        package: "semantic-release",
        version: "24.2.9",
        source: Source::Npm,
        program: "node_modules/.bin/semantic-release",
    },
];

/// Is a tool asked for by `--only`? Everything is when it was not given.
pub fn is_wanted(name: &str, only: &[String]) -> bool {
    only.is_empty() || only.iter().any(|part| name == part || name.starts_with(&format!("{part} ")))
}

/// The program of a peer, installed when it is not there.
///
/// # Errors
/// When it cannot be installed: with what the installer said last.
pub fn install(peer: &Peer, under: &Path) -> Result<PathBuf> {
    let folder = under.join(format!("{}-{}", peer.package, peer.version));
    if let Some(program) = find(&folder, peer.program) {
        return Ok(program);
    }
    std::fs::create_dir_all(&folder)?;
    let shown = folder.to_string_lossy().into_owned();
    match peer.source {
        Source::Npm => {
            let what = format!("{}@{}", peer.package, peer.version);
            quiet(
                "npm",
                &["install", "--prefix", &shown, "--no-audit", "--no-fund", "--silent", &what],
                under,
            )?;
        }
        Source::PyPi => {
            quiet("python3", &["-m", "venv", &shown], under)?;
            let pip = folder.join("bin/pip").to_string_lossy().into_owned();
            quiet(&pip, &["install", "--quiet", &format!("{}=={}", peer.package, peer.version)], under)?;
        }
        Source::Cargo => {
            // Its own target folder: cargo's lock on ours is held by the command that runs this.
            let build = under.join(format!("{}-build", peer.package)).to_string_lossy().into_owned();
            let arguments = [
                "install",
                peer.package,
                "--version",
                peer.version,
                "--locked",
                "--root",
                &shown,
                "--target-dir",
                &build,
            ];
            quiet("cargo", &arguments, under)?;
        }
    }
    find(&folder, peer.program)
        .ok_or_else(|| format!("{} was installed, and has no {}", peer.name, peer.program).into())
}

fn quiet(program: &str, arguments: &[&str], folder: &Path) -> Result<()> {
    let output = Command::new(program).args(arguments).current_dir(folder).stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let last: Vec<&str> = said.lines().rev().take(5).collect();
    Err(format!(
        "{program} {}: {}",
        arguments.join(" "),
        last.into_iter().rev().collect::<Vec<_>>().join(" | ")
    )
    .into())
}

fn find(folder: &Path, program: &str) -> Option<PathBuf> {
    let Some((before, after)) = program.split_once('*') else {
        return Some(folder.join(program)).filter(|path| path.is_file());
    };
    let (parent, start) = before.rsplit_once('/').unwrap_or(("", before));
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder.join(parent))
        .ok()?
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(start))
        .map(|entry| entry.path().join(after.trim_start_matches('/')))
        .filter(|path| path.is_file())
        .collect();
    found.sort();
    found.into_iter().next()
}

#[cfg(test)]
mod tests {
    use super::{GOAL, PEERS, is_wanted};

    #[test]
    fn only_names_tools_with_or_without_version() {
        for (name, only, expect) in [
            ("git-cliff 2.12.0", vec![], true),
            ("git-cliff 2.12.0", vec!["git-cliff"], true),
            ("git-cliff 2.12.0", vec!["git-cliff 2.12.0"], true),
            ("git-cliff 2.12.0", vec!["git"], false),
            ("git log", vec!["git"], true),
        ] {
            let only: Vec<String> = only.into_iter().map(str::to_owned).collect();
            assert_eq!(is_wanted(name, &only), expect, "{name} {only:?}");
        }
    }

    #[test]
    fn every_peer_is_pinned_and_the_goal_is_one() {
        for peer in PEERS {
            assert_eq!(peer.name, format!("{} {}", peer.package, peer.version));
        }
        assert!(PEERS.iter().any(|peer| peer.name == GOAL));
    }
}
