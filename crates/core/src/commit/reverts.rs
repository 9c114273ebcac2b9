//! Reverts inside a range: a change and its taking back cancel.

use super::{Commit, Conventional};

/// The commits that still count, newest first as given, each with its message understood.
///
/// `commits` must be newest first, as `git log` lists them. A revert whose target is in the range
/// removes both; a revert of a revert thus brings the first change back.
pub fn without_reverted(commits: &[Commit]) -> Vec<(&Commit, Conventional<'_>)> {
    let mut understood: Vec<Option<Conventional<'_>>> =
        commits.iter().map(|commit| Some(commit.parse())).collect();
    let mut by_id: Vec<(String, usize)> =
        commits.iter().enumerate().map(|(at, commit)| (commit.id.to_ascii_lowercase(), at)).collect();
    by_id.sort();
    for at in 0..commits.len() {
        let target = understood[at]
            .as_ref()
            .and_then(|commit| commit.reverts.as_deref())
            .and_then(|prefix| find(&by_id, prefix));
        // Only an older commit can be taken back; this also keeps hostile messages from making circles.
        if let Some(target) = target.filter(|target| *target > at && understood[*target].is_some()) {
            understood[at] = None;
            understood[target] = None;
        }
    }
    commits.iter().zip(understood).filter_map(|(commit, told)| Some((commit, told?))).collect()
}

/// The one commit whose id starts with `prefix`.
fn find(by_id: &[(String, usize)], prefix: &str) -> Option<usize> {
    let start = by_id.partition_point(|(id, _)| id.as_str() < prefix);
    let mut matching = by_id[start..].iter().take_while(|(id, _)| id.starts_with(prefix));
    let (_, at) = matching.next()?;
    matching.next().is_none().then_some(*at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(messages: &[&str]) -> Vec<Commit> {
        let id = |number: usize| format!("{number:040x}");
        let count = messages.len();
        messages
            .iter()
            .enumerate()
            .map(|(at, message)| Commit {
                id: id(0xabc0000 + count - at),
                message: message.replace('@', &id(0xabc0000)[..39]),
                ..Commit::default()
            })
            .collect()
    }

    #[test]
    fn a_change_and_its_revert_cancel() {
        let revert = "Revert \"x\"\n\nThis reverts commit ";
        for (messages, expect) in [
            (vec!["fix: b".to_owned(), format!("{revert}@1."), "feat: a".to_owned()], vec!["fix: b"]),
            (vec![format!("{revert}@2."), format!("{revert}@1."), "feat: a".to_owned()], vec!["feat: a"]),
            (vec![format!("{revert}@9."), "feat: a".to_owned()], vec!["Revert \"x\"", "feat: a"]),
            // Its own id, and a newer commit: no circle.
            (vec![format!("{revert}@2."), format!("{revert}@2.")], vec!["Revert \"x\"", "Revert \"x\""]),
            // An abbreviation that several share names none.
            (vec![format!("{revert}0000000000."), "feat: a".to_owned()], vec!["Revert \"x\"", "feat: a"]),
        ] {
            let messages: Vec<&str> = messages.iter().map(String::as_str).collect();
            let commits = history(&messages);
            let left: Vec<&str> =
                without_reverted(&commits).iter().map(|(commit, _)| commit.subject()).collect();
            assert_eq!(left, expect, "{messages:?}");
        }
    }
}
