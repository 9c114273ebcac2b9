//! Whole histories, written as text: at each release the version that is decided is the one that was made.

#[cfg(test)]
mod play;

use play::play;

/// The histories of python-semantic-release's branch models, written anew.
const PEER: &str = include_str!("peer.txt");
/// Histories of our own: what goes wrong in repositories.
const OWN: &str = include_str!("own.txt");
/// Where every difference from the peer is explained.
const DECISION: &str = include_str!("../../../../docs/decisions/0008-versions.md");

#[test]
fn the_branch_models_of_the_peer_agree() {
    let (checked, wrong) = play(PEER, Some(DECISION));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked >= 70, "only {checked} releases were looked at");
}

#[test]
fn repositories_as_they_are_get_the_right_version() {
    let (checked, wrong) = play(OWN, None);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked >= 60, "only {checked} decisions were looked at");
}
