//! The version that leads back, by what all hosts of an environment say together.

use jiff::Timestamp;
use windlass_core::text::sanitize_line;

use crate::adapters::remote::{Kept, Record, State};
use crate::deploy_previous::before;

/// A host that was reached, and all that it keeps.
pub(super) type Known = (String, Kept);

/// Where an environment goes back to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// The version that is there: that of the first host that does not have the target, else of all.
    pub current: String,
    /// What is to be there again; nothing where nothing was there before.
    pub record: Option<Record>,
    /// Every host that was reached has the target, deployed to its end.
    pub is_there: bool,
    /// The target still runs beside the version that is there.
    pub is_hot: bool,
}

/// What is to be there again.
///
/// # Errors
/// When a host does not know the version that is asked for, or hosts would go back to different ones.
pub(super) fn target(
    hosts: &[Known],
    asked: Option<&str>,
    releasing: Option<&str>,
) -> Result<Option<Target>, String> {
    let all: Vec<(&str, &Kept, &Record)> =
        hosts.iter().filter_map(|(name, kept)| Some((name.as_str(), kept, kept.record.as_ref()?))).collect();
    let Some((_, _, first)) = all.first() else { return Ok(None) };
    let version = match asked {
        Some(version) => Some(version.to_owned()),
        None => agreed(&all, releasing)?,
    };
    let Some(version) = version else {
        let current = first.version.clone();
        return Ok(Some(Target { current, record: None, is_there: false, is_hot: false }));
    };
    let mut records = Vec::new();
    for (name, kept, record) in &all {
        records.push(of_host(name, kept, record, &version)?);
    }
    let mut away =
        all.iter().map(|(_, _, record)| *record).filter(|record| !has(record, &version)).peekable();
    let (is_there, current) = (away.peek().is_none(), away.peek().map_or(&version, |record| &record.version));
    let current = current.clone();
    let is_hot = !is_there
        && away.all(|record| record.idle.as_ref().is_some_and(|idle| idle.hot && idle.version == version));
    let is_there = is_there && all.len() == hosts.len();
    Ok(Some(Target { current, record: records.into_iter().next(), is_there, is_hot }))
}

/// The version that is there and stays.
pub(super) fn stays(hosts: &[Known]) -> Option<Target> {
    let current = hosts.iter().find_map(|(_, kept)| kept.record.as_ref())?.version.clone();
    Some(Target { current, record: None, is_there: true, is_hot: false })
}

/// From when on migrations count against a version: when the first of the hosts had it.
pub(super) fn begin(target: &Record, hosts: &[Known]) -> Timestamp {
    let known = hosts.iter().filter_map(|(_, kept)| kept.live_since(&target.version));
    known.fold(target.at, Timestamp::min)
}

fn has(record: &Record, version: &str) -> bool {
    record.version == version && record.state == State::Live
}

/// What one host, asked alone, would go back to: what is there, while the release that is taken back never got there;
/// else what was there before.
fn target_of<'a>(kept: &'a Kept, record: &'a Record, releasing: Option<&str>) -> Option<&'a Record> {
    match releasing {
        Some(releasing) if releasing != record.version => record.good(),
        _ => kept.before(record),
    }
}

/// The version that the hosts would go back to. Those that something was begun on speak first: what the others have is
/// what it began from.
fn agreed(all: &[(&str, &Kept, &Record)], releasing: Option<&str>) -> Result<Option<String>, String> {
    let is_begun = |record: &Record| record.state != State::Live || releasing == Some(&record.version);
    let any = all.iter().any(|(_, _, record)| is_begun(record));
    let mut wanted: Vec<(&str, &str)> = Vec::new();
    for (name, kept, record) in all.iter().filter(|(_, _, record)| is_begun(record) || !any) {
        if let Some(target) = target_of(kept, record, releasing)
            && wanted.iter().all(|(_, version)| *version != target.version)
        {
            wanted.push((name, &target.version));
        }
    }
    match wanted.as_slice() {
        [] => Ok(None),
        [(_, version)] => Ok(Some((*version).to_owned())),
        several => {
            let told: Vec<String> =
                several.iter().map(|(name, version)| format!("{name} to {version}")).collect();
            Err(format!(
                "the hosts would go back to different versions ({}): name the one that is meant with `to`",
                told.join(", ")
            ))
        }
    }
}

/// What a host had of the version.
fn of_host(name: &str, kept: &Kept, record: &Record, version: &str) -> Result<Record, String> {
    if has(record, version) {
        return Ok(record.clone());
    }
    before(record, version, Some(kept)).map_err(|why| {
        let of_history = kept.history.iter().filter(|known| known.state == State::Live);
        let mut known: Vec<&str> = Vec::new();
        for record in of_history.chain(record.previous.as_deref()) {
            if !known.contains(&record.version.as_str()) {
                known.push(&record.version);
            }
        }
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        sanitize_line(&format!("{name}: {why} (versions that are known there: {known})"))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::adapters::remote::{Idle, SCHEMA};

    const LIVE: State = State::Live;
    const FAILED: State = State::Failed;

    fn record(version: &str, state: State, second: i64) -> Record {
        Record {
            schema: SCHEMA,
            environment: "production".into(),
            run: "release-1".into(),
            step: "deploy/1".into(),
            fence: 1,
            version: version.into(),
            tag: format!("v{version}"),
            release: version.into(),
            files: vec!["compose.yml".into()],
            project: "shop".into(),
            images: BTreeMap::new(),
            colour: None,
            idle: None,
            made: None,
            state,
            at: Timestamp::from_second(second).unwrap(),
            previous: None,
        }
    }

    /// A host's version, its state, the version before (none when empty), and those in its history.
    type Line<'a> = (&'a str, State, &'a str, &'a [&'a str]);

    fn host((name, (version, state, previous, history)): (&&str, &Line<'_>)) -> Known {
        let before = (!previous.is_empty()).then(|| Box::new(record(previous, LIVE, 1)));
        let own = Record { previous: before, ..record(version, *state, 2) };
        let history = history.iter().map(|version| record(version, LIVE, 1)).collect();
        let record = (!version.is_empty()).then_some(own);
        ((*name).to_owned(), Kept { record, history, ..Kept::default() })
    }

    fn told(hosts: &[Line<'_>], asked: Option<&str>, releasing: Option<&str>) -> String {
        let hosts: Vec<Known> = ["web1", "web2", "web3"].iter().zip(hosts).map(host).collect();
        match target(&hosts, asked, releasing) {
            Err(why) => why,
            Ok(None) => "nothing".to_owned(),
            Ok(Some(Target { current, record, is_there, .. })) => {
                let to = record.map_or("-".to_owned(), |record| record.version);
                format!("{current} to {to}{}", if is_there { ", there" } else { "" })
            }
        }
    }

    #[test]
    fn the_target_is_what_all_hosts_say_together() {
        let two = ("2", LIVE, "1", &["1", "2"][..]);
        let one = ("1", LIVE, "0", &["0", "1"][..]);
        for (hosts, asked, releasing, expect) in [
            (&[][..], None, None, "nothing"),
            (&[("", LIVE, "", &[][..])], None, None, "nothing"),
            (&[two], None, None, "2 to 1"),
            (&[two], None, Some("2"), "2 to 1"),
            (&[("2", LIVE, "", &["2"])], None, Some("2"), "2 to -"),
            // The release never got there, or was put back by itself.
            (&[two], None, Some("3"), "2 to 2, there"),
            (&[two, two], None, Some("3"), "2 to 2, there"),
            // One host was left with it, and it is not the first.
            (&[one, two], None, Some("2"), "2 to 1"),
            (&[one, ("2", FAILED, "1", &["1"])], None, Some("2"), "2 to 1"),
            (&[one, ("2", FAILED, "1", &["1"])], None, None, "2 to 1"),
            (&[("2", State::Updating, "1", &["1"]), one], None, None, "2 to 1"),
            // What failed was another release: it is not what is good.
            (&[("2", FAILED, "1", &["1"])], None, Some("3"), "2 to 1"),
            (&[("2", State::Updating, "1", &["1"])], None, Some("3"), "2 to 1"),
            (&[("2", FAILED, "", &[])], None, Some("3"), "2 to -"),
            // Deployed again, and that failed: it is not there, though its version is.
            (&[("1", FAILED, "1", &["1"])], None, Some("1"), "1 to 1"),
            // Deployed again, and well: the way back leads to the last other version.
            (&[("2", LIVE, "2", &["0", "1", "2", "2"])], None, None, "2 to 1"),
            (&[("2", LIVE, "2", &["0", "1", "2", "2"])], None, Some("2"), "2 to 1"),
            (&[("2", LIVE, "2", &["2"])], None, None, "2 to 2, there"),
            // A host without any version does not have the target.
            (&[two, ("", LIVE, "", &[])], None, Some("3"), "2 to 2"),
            (
                &[two, one],
                None,
                None,
                "the hosts would go back to different versions (web1 to 1, web2 to 0): name the one that is meant \
                 with `to`",
            ),
            (&[two, one], Some("1"), None, "2 to 1"),
            (&[one], Some("1"), None, "1 to 1, there"),
            (&[("3", LIVE, "2", &["0", "1", "2", "3"])], Some("0"), None, "3 to 0"),
            (
                &[two, one],
                Some("0"),
                None,
                "web1: it has 2 and never had 0: deploy that with the runbook of a release (versions that are known \
                 there: 1, 2)",
            ),
        ] {
            assert_eq!(told(hosts, asked, releasing), expect, "{hosts:?} {asked:?} {releasing:?}");
        }
    }

    #[test]
    fn it_is_hot_where_every_host_that_goes_back_still_runs_it() {
        for (idle, expect) in [
            (&[Some(("1", true))][..], true),
            (&[Some(("1", true)), Some(("1", true))], true),
            (&[Some(("1", true)), Some(("1", false))], false),
            (&[Some(("0", true))], false),
            (&[None], false),
        ] {
            let hosts: Vec<Known> = idle
                .iter()
                .map(|idle| {
                    let (name, mut kept) = host((&"web1", &("2", LIVE, "1", &[])));
                    let idle = idle.map(|(version, hot)| Idle {
                        colour: windlass_core::config::Colour::Blue,
                        version: version.into(),
                        hot,
                    });
                    kept.record.as_mut().unwrap().idle = idle;
                    (name, kept)
                })
                .collect();
            assert_eq!(target(&hosts, None, None).unwrap().unwrap().is_hot, expect, "{idle:?}");
        }
    }

    #[test]
    fn migrations_count_from_when_the_first_host_had_the_version() {
        let live = |second| record("1.0.0", LIVE, second);
        for (target, histories, expect) in [
            (30, &[&[][..]][..], 30),
            // A deployment put it back at 30: what was migrated at 20 counts.
            (30, &[&[10, 30][..]], 10),
            (30, &[&[12, 30], &[10, 30]], 10),
            // A history that was cut begins after what the record says.
            (5, &[&[30]], 5),
        ] {
            let kept = |history: &&[i64]| {
                let history = history.iter().map(|second| live(*second)).collect();
                ("web1".to_owned(), Kept { history, ..Kept::default() })
            };
            let hosts: Vec<Known> = histories.iter().map(kept).collect();
            assert_eq!(begin(&live(target), &hosts).as_second(), expect, "{histories:?}");
        }
    }
}
