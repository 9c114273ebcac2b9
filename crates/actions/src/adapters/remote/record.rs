//! What Windlass keeps on a host about what runs there.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use windlass_core::config::Colour;
use windlass_core::text::sanitize_line;

use super::RemoteError;

/// The version of the record's JSON.
pub const SCHEMA: u32 = 1;

/// What one host has of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The environment.
    pub environment: String,
    /// The run that wrote this.
    pub run: String,
    /// The item of the run.
    pub step: String,
    /// The fence it acted under.
    pub fence: u64,
    /// The version.
    pub version: String,
    /// Its tag.
    pub tag: String,
    /// The folder of its files under `.windlass/releases`; empty when another tool keeps them.
    pub release: String,
    /// Its compose files in that folder.
    pub files: Vec<String>,
    /// The compose project.
    pub project: String,
    /// The image of each service, by digest.
    pub images: BTreeMap<String, String>,
    /// The colour that the version is in, where there are two. Once it is live, that is the one with the traffic.
    pub colour: Option<Colour>,
    /// What the other colour holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<Idle>,
    /// A mark of the containers that were brought up, and of what compose made them of; nothing where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<String>,
    /// How far it is.
    pub state: State,
    /// When this was written.
    pub at: Timestamp,
    /// What was there before, without what was before that.
    pub previous: Option<Box<Record>>,
}

/// What the colour without traffic holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Idle {
    /// Which one it is.
    pub colour: Colour,
    /// The version that was brought there last.
    pub version: String,
    /// It still runs, so that the traffic could be given to it at once.
    pub hot: bool,
}

/// How far a version is on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// The host gets no new requests, so that it can be put there.
    Draining,
    /// It is being put there.
    Updating,
    /// It runs and is healthy, and the host gets no requests yet.
    Proven,
    /// It runs and is healthy; other hosts, the health check of all, or the traffic are still to come.
    Updated,
    /// The traffic is being given to its colour.
    Switching,
    /// It was deployed, to the end.
    Live,
    /// The version before is being put back.
    Reverting,
    /// It did not come up, and was left as it is.
    Failed,
    /// It was taken back. Stands in the history only.
    Withdrawn,
}

impl Record {
    /// What would be put back: the version before while this one was not deployed to its end.
    pub fn good(&self) -> Option<&Self> {
        match self.state {
            State::Live => Some(self),
            _ => self.previous.as_deref(),
        }
    }

    /// The same without what was before.
    pub fn alone(&self) -> Self {
        Self { previous: None, idle: None, made: None, ..self.clone() }
    }

    /// The same version in the other colour, which a script or docker compose makes of the same files; nothing where it was in
    /// none, or in a project that is not named by its colour.
    pub fn in_the_other_colour(&self) -> Option<Self> {
        let colour = self.colour?;
        let other = colour.other();
        let project = match self.project.strip_suffix(colour.as_str()) {
            Some(begin) => format!("{begin}{}", other.as_str()),
            None if self.project.is_empty() => String::new(),
            None => return None,
        };
        Some(Self { colour: Some(other), project, ..self.alone() })
    }

    /// What customers get while this one is not live: the version before, in its own colour. Nothing where there are no
    /// colours, or where only the proxies know.
    pub fn serving(&self) -> Option<&Self> {
        let is_apart =
            self.colour.is_some() && matches!(self.state, State::Updating | State::Updated | State::Failed);
        self.previous.as_deref().filter(|previous| is_apart && previous.colour.is_some())
    }

    /// Whether it is what this item of this run wrote.
    pub fn is_of(&self, run: &str, step: &str) -> bool {
        self.run == run && self.step == step
    }

    /// The line that is written.
    pub(super) fn line(&self) -> Result<Vec<u8>, RemoteError> {
        let mut line = serde_json::to_vec(self).map_err(|error| RemoteError::Failed(error.to_string()))?;
        line.push(b'\n');
        Ok(line)
    }

    /// Reads one line. Texts come from another machine, so they are made safe to show.
    pub(super) fn parse(line: &str) -> Result<Self, String> {
        let mut record: Self = serde_json::from_str(line).map_err(|error| error.to_string())?;
        if record.schema != SCHEMA {
            return Err(format!("it has schema {}, and this Windlass reads {SCHEMA}", record.schema));
        }
        record.clean();
        Ok(record)
    }

    fn clean(&mut self) {
        for text in [
            &mut self.environment,
            &mut self.run,
            &mut self.step,
            &mut self.version,
            &mut self.tag,
            &mut self.release,
            &mut self.project,
        ] {
            *text = sanitize_line(text);
        }
        if let Some(idle) = &mut self.idle {
            idle.version = sanitize_line(&idle.version);
        }
        if let Some(previous) = &mut self.previous {
            previous.clean();
        }
    }
}

/// Who holds an environment's lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// The run.
    pub run: String,
    /// The process of the run that took it, counted.
    pub epoch: u64,
    /// Higher than any fence given before.
    pub fence: u64,
    /// Until then it holds without being renewed, by the host's clock.
    pub until: Timestamp,
    /// Since when it is held.
    pub since: Timestamp,
    /// Who started the run.
    pub person: String,
}

impl Lock {
    /// From the lines that the host told, when they are there.
    pub(super) fn parse(lines: &[&str]) -> Option<Self> {
        let [run, epoch, fence, until, since, person, ..] = lines else { return None };
        let moment = |text: &str| Timestamp::from_second(text.trim().parse().ok()?).ok();
        Some(Self {
            run: sanitize_line(run),
            epoch: epoch.trim().parse().ok()?,
            fence: fence.trim().parse().ok()?,
            until: moment(until)?,
            since: moment(since)?,
            person: sanitize_line(person),
        })
    }
}

/// All that a host keeps.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Kept {
    /// The highest fence it has seen.
    pub fence: u64,
    /// Who holds the environment's lock, on its first host.
    pub lock: Option<Lock>,
    /// What is there.
    pub record: Option<Record>,
    /// What was deployed to its end, and what was withdrawn, oldest first.
    pub history: Vec<Record>,
    /// Locks that were broken: when, by whom and why.
    pub breaks: Vec<String>,
    /// What the host's clock says.
    pub now: Option<Timestamp>,
}

impl Kept {
    /// Reads what the operation `look` printed.
    ///
    /// # Errors
    /// When the record is damaged.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut kept = Self::default();
        let mut lock = Vec::new();
        for line in text.lines() {
            let Some((key, rest)) = line.split_once(' ') else { continue };
            match key {
                "now" => {
                    kept.now =
                        rest.trim().parse().ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
                }
                "fence" => {
                    kept.fence = rest.trim().parse().map_err(|_| "its fence is no number".to_owned())?
                }
                "lock" => lock.push(rest),
                "record" => {
                    kept.record =
                        Some(Record::parse(rest).map_err(|why| format!("its record is damaged: {why}"))?);
                }
                // What a later Windlass wrote there is not ours to judge.
                "history" => kept.history.extend(Record::parse(rest)),
                "break" => kept.breaks.push(sanitize_line(rest)),
                _ => {}
            }
        }
        kept.lock = Lock::parse(&lock);
        Ok(kept)
    }

    /// Whether the version was deployed here to its end, and not withdrawn since.
    pub fn has_passed(&self, version: &str) -> bool {
        let last = self.history.iter().rev().find(|record| record.version == version);
        last.is_some_and(|record| record.state == State::Live)
    }

    /// What was here before the version that is: where that was deployed again, the last other one that was deployed to
    /// its end and not withdrawn since.
    pub fn before<'a>(&'a self, record: &'a Record) -> Option<&'a Record> {
        let previous = record.previous.as_deref()?;
        if record.state != State::Live || previous.version != record.version {
            return Some(previous);
        }
        let is_other = |known: &&Record| {
            known.version != record.version && known.state == State::Live && self.has_passed(&known.version)
        };
        Some(self.history.iter().rev().find(is_other).unwrap_or(previous))
    }

    /// Since when what was done to the data may be foreign to a version: when it was first deployed here to its end, and
    /// not withdrawn since. Putting it back is no new beginning, because what was migrated meanwhile is still there.
    pub fn live_since(&self, version: &str) -> Option<Timestamp> {
        let own = self.history.iter().rev().filter(|record| record.version == version);
        own.take_while(|record| record.state != State::Withdrawn)
            .filter(|record| record.state == State::Live)
            .map(|record| record.at)
            .min()
    }

    /// The record as it was when it was deployed to its end, with what was before it: putting it back must not forget
    /// where the way back from it leads.
    pub fn whole(&self, record: &Record) -> Record {
        let same = |known: &&Record| {
            known.state == State::Live
                && known.version == record.version
                && known.is_of(&record.run, &record.step)
        };
        // One that was put back tells less than the one that was deployed.
        let known = self.history.iter().rev().filter(same);
        let fullest = known.clone().find(|known| known.previous.is_some()).or_else(|| known.clone().next());
        let previous = fullest.and_then(|known| known.previous.clone());
        Record { previous, ..record.clone() }
    }

    /// The lock, unless it is over.
    pub fn held(&self) -> Option<&Lock> {
        self.lock.as_ref().filter(|lock| self.now.is_none_or(|now| lock.until > now))
    }
}

/// A container of a compose project.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Container {
    /// Its id.
    pub id: String,
    /// Its service.
    #[serde(default)]
    pub service: String,
    /// `True` for one that `docker compose run` started.
    #[serde(default, skip_serializing)]
    pub once: String,
    /// `running`, `exited`, `restarting`, `created`, `dead`, `paused`.
    pub state: String,
    /// Its exit code, when it has exited.
    #[serde(default)]
    pub exit: i64,
    /// How often it was restarted by itself.
    #[serde(default)]
    pub restarts: u64,
    /// When it started.
    #[serde(default)]
    pub started: String,
    /// The image it was made from, as it was written.
    #[serde(default)]
    pub image: String,
    /// What its health check says: `starting`, `healthy`, `unhealthy`.
    #[serde(default)]
    pub health: Option<String>,
}

impl Container {
    pub(super) fn parse_all(text: &str) -> Vec<Self> {
        let read = |line: &str| {
            let mut container: Self = serde_json::from_str(line).ok()?;
            for text in
                [&mut container.service, &mut container.state, &mut container.image, &mut container.id]
            {
                *text = sanitize_line(text);
            }
            Some(container).filter(|container| container.once != "True")
        };
        let mut containers: Vec<Self> = text.lines().filter_map(read).collect();
        containers.sort_by(|left, right| (&left.service, &left.id).cmp(&(&right.service, &right.id)));
        containers
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn record(version: &str, state: State) -> Record {
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
            at: Timestamp::UNIX_EPOCH,
            previous: None,
        }
    }

    #[test]
    fn a_version_changes_its_colour_where_its_project_is_named_by_it() {
        use windlass_core::config::Colour::{Blue, Green};
        for (colour, project, expect) in [
            (Some(Blue), "shop-blue", Some((Some(Green), "shop-green"))),
            (Some(Green), "blue-green", Some((Some(Blue), "blue-blue"))),
            (Some(Green), "", Some((Some(Blue), ""))),
            (Some(Green), "shop", None),
            (None, "shop", None),
        ] {
            let record = Record { colour, project: project.into(), ..record("1.0.0", State::Live) };
            let other = record.in_the_other_colour();
            let told = other.as_ref().map(|other| (other.colour, other.project.as_str()));
            assert_eq!(told, expect, "{project}");
        }
    }

    #[test]
    fn a_version_has_passed_until_it_is_withdrawn() {
        for (states, expect) in [
            (&[][..], false),
            (&[("1.0.0", State::Live)], true),
            (&[("1.0.0", State::Live), ("1.1.0", State::Live)], true),
            (&[("1.0.0", State::Live), ("1.0.0", State::Withdrawn)], false),
            (&[("1.0.0", State::Withdrawn), ("1.0.0", State::Live)], true),
            (&[("1.1.0", State::Live)], false),
        ] {
            let history = states.iter().map(|(version, state)| record(version, *state)).collect();
            assert_eq!(Kept { history, ..Kept::default() }.has_passed("1.0.0"), expect, "{states:?}");
        }
    }

    #[test]
    fn a_version_is_live_since_it_was_first_deployed_and_not_since_it_was_put_back() {
        for (history, expect) in [
            (&[][..], None),
            (&[("1.0.0", State::Live, 10)], Some(10)),
            // A deployment that failed put it back at 30.
            (&[("1.0.0", State::Live, 10), ("1.0.0", State::Live, 30)], Some(10)),
            (&[("1.0.0", State::Live, 10), ("1.1.0", State::Live, 20), ("1.0.0", State::Live, 30)], Some(10)),
            (
                &[("1.0.0", State::Live, 10), ("1.0.0", State::Withdrawn, 10), ("1.0.0", State::Live, 30)],
                Some(30),
            ),
            (
                &[("1.0.0", State::Live, 10), ("1.1.0", State::Withdrawn, 20), ("1.0.0", State::Live, 30)],
                Some(10),
            ),
            (&[("1.0.0", State::Live, 10), ("1.0.0", State::Withdrawn, 10)], None),
            (&[("1.1.0", State::Live, 10)], None),
        ] {
            let at = |second: i64| Timestamp::from_second(second).unwrap();
            let record = |(version, state, second): &(&str, State, i64)| Record {
                at: at(*second),
                ..record(version, *state)
            };
            let kept = Kept { history: history.iter().map(record).collect(), ..Kept::default() };
            assert_eq!(kept.live_since("1.0.0"), expect.map(at), "{history:?}");
        }
    }

    #[test]
    fn what_is_put_back_is_what_was_good() {
        let before = record("1.0.0", State::Live);
        let with = |state| Record { previous: Some(Box::new(before.clone())), ..record("1.1.0", state) };
        assert_eq!(with(State::Live).good().unwrap().version, "1.1.0");
        for state in [State::Updating, State::Updated, State::Reverting, State::Failed] {
            assert_eq!(with(state).good(), Some(&before));
            assert_eq!(record("1.1.0", state).good(), None);
        }
    }

    #[test]
    fn what_is_put_back_remembers_what_was_before_it() {
        let first = record("1.0.0", State::Live);
        let second = Record { previous: Some(Box::new(first.clone())), ..record("1.1.0", State::Live) };
        let kept = Kept { history: vec![first.clone(), second.clone(), second.alone()], ..Kept::default() };
        assert_eq!(kept.whole(&second.alone()), second);
        assert_eq!(kept.whole(&first), first);
        let of_another_run = Record { run: "other".into(), ..second.alone() };
        assert_eq!(kept.whole(&of_another_run), of_another_run);
    }

    #[test]
    fn a_host_is_read() {
        let line = serde_json::to_string(&record("1.0.0", State::Live)).unwrap();
        let text = format!(
            "now 1000\nfence 7\nlock run-1\nlock 2\nlock 7\nlock 1060\nlock 900\nlock ann\nrecord {line}\nhistory {line}\nhistory {{}}\nbreak x\n"
        );
        let kept = Kept::parse(&text).unwrap();
        assert_eq!((kept.fence, kept.history.len(), kept.breaks.len()), (7, 1, 1));
        assert_eq!(kept.held().unwrap().person, "ann");
        assert_eq!(Kept::parse(&text.replace("now 1000", "now 2000")).unwrap().held(), None);
        assert_eq!(Kept::parse("now 1000\n").unwrap().record, None);
        assert!(Kept::parse("record {}").unwrap_err().contains("damaged"));
        assert!(Kept::parse("record {\"schema\":9}").unwrap_err().contains("damaged"));
    }

    proptest! {
        #[test]
        fn no_answer_of_a_host_stops_the_program(text in "\\PC*") {
            let _ = Kept::parse(&text);
            let _ = Container::parse_all(&text);
            for key in ["now", "fence", "lock", "record", "history", "break"] {
                let _ = Kept::parse(&format!("{key} {text}"));
            }
        }
    }
}
