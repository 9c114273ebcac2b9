//! What a host tells about the containers of a service: what they said since a moment, and how often they were restarted.

use jiff::{SignedDuration, Timestamp};
use windlass_core::text::sanitize_line;
use windlass_engine::context::Context;

use super::{Host, RemoteError, Result};

/// Clocks that are no further apart than this are taken as one: what is asked comes a moment later than the asking.
const APART: SignedDuration = SignedDuration::from_secs(1);

/// What the containers of a service said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lines {
    /// When each container was made, by our clock.
    pub made: Vec<Timestamp>,
    /// The lines with their times, by our clock.
    pub lines: Vec<(Timestamp, String)>,
}

/// A container, and how often it was restarted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restarted {
    /// Its id.
    pub id: String,
    /// When it was made, by our clock.
    pub made: Timestamp,
    /// When it was started last, as the host tells it.
    pub started: String,
    /// How often it was restarted by itself since then or since it was made.
    pub restarts: u64,
}

impl Host {
    /// What the containers of a service (`*` for every one) of a compose project said in the last `seconds`.
    ///
    /// # Errors
    /// When the host or its docker cannot be asked, and when they said more than so many bytes.
    pub async fn lines(
        &self,
        context: &Context,
        project: &str,
        service: &str,
        seconds: u64,
        bytes: usize,
    ) -> Result<Lines> {
        let now = context.world.clock.now();
        let (seconds, most) = (seconds.to_string(), bytes.to_string());
        let text = self.call(context, "lines", &[project, service, &seconds, &most], None, true).await?;
        parse_lines(&text, now, bytes)
            .map_err(|why| RemoteError::Failed(format!("{}: {}", self.name, context.world.masker.mask(&why))))
    }

    /// How often the containers of a service (`*` for every one) of a compose project were restarted.
    ///
    /// # Errors
    /// When the host or its docker cannot be asked.
    pub async fn restarts(&self, context: &Context, project: &str, service: &str) -> Result<Vec<Restarted>> {
        let now = context.world.clock.now();
        let text = self.call(context, "restarts", &[project, service], None, true).await?;
        parse_restarts(&text, now).ok_or_else(|| {
            RemoteError::Failed(format!(
                "{}: docker told of its containers what is not understood",
                self.name
            ))
        })
    }
}

/// How far the host's clock is ahead of ours, when its answer began at `now`.
fn ahead(line: Option<&str>, now: Timestamp) -> Option<SignedDuration> {
    let told: i128 = line?.strip_prefix("now ")?.trim().parse().ok()?;
    let ahead = Timestamp::from_nanosecond(told).ok()?.duration_since(now);
    Some(if ahead.abs() <= APART { SignedDuration::ZERO } else { ahead })
}

fn ours(text: &str, ahead: SignedDuration) -> Option<Timestamp> {
    text.parse::<Timestamp>().ok()?.saturating_sub(ahead).ok()
}

fn parse_lines(text: &str, now: Timestamp, bytes: usize) -> std::result::Result<Lines, String> {
    let mut rest = text.lines();
    let ahead = ahead(rest.next(), now).ok_or("it does not tell its time")?;
    let mut found = Lines::default();
    let mut is_whole = false;
    let mut complaint = String::new();
    for line in rest {
        is_whole = line == "end";
        let (time, words) = line.split_once(' ').unwrap_or((line, ""));
        if time == "container" {
            found.made.extend(ours(words.trim(), ahead));
        } else if let Some(at) = ours(time, ahead) {
            found.lines.push((at, words.to_owned()));
        } else if !is_whole && !line.is_empty() {
            complaint = sanitize_line(line);
        }
    }
    if is_whole {
        return Ok(found);
    }
    if text.len() >= bytes {
        let mebibytes = bytes >> 20;
        return Err(format!(
            "its containers said more than {mebibytes} MiB in that time: watch in shorter steps, with `every`"
        ));
    }
    Err(if complaint.is_empty() { "docker told the logs only in part".into() } else { complaint })
}

fn parse_restarts(text: &str, now: Timestamp) -> Option<Vec<Restarted>> {
    let mut rest = text.lines();
    let ahead = ahead(rest.next(), now)?;
    rest.map(|line| {
        let mut words = line.split(' ');
        let (id, made, started, restarts) = (words.next()?, words.next()?, words.next()?, words.next()?);
        Some(Restarted {
            id: sanitize_line(id),
            made: ours(made, ahead)?,
            started: sanitize_line(started),
            restarts: restarts.parse().ok()?,
        })
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    #[test]
    fn lines_are_told_by_our_clock_and_only_whole() {
        let check = |now: &str, body: &str, expect: std::result::Result<&[(i64, &str)], &str>| {
            let found = parse_lines(&format!("now {now}\n{body}"), at(0), 1 << 20);
            match (found, expect) {
                (Ok(found), Ok(expect)) => {
                    let expect: Vec<(Timestamp, String)> =
                        expect.iter().map(|(second, text)| (at(*second), (*text).to_owned())).collect();
                    assert_eq!(found.lines, expect, "{body}");
                    assert_eq!(found.made, [at(-60)], "{body}");
                }
                (Err(why), Err(expect)) => assert!(why.contains(expect), "{why}"),
                (found, expect) => panic!("{found:?}, not {expect:?}"),
            }
        };
        let said = "container 2023-11-14T22:12:20.000000000Z\n2023-11-14T22:13:15.000000000Z ERROR a\n\
                    2023-11-14T22:13:19.000000000Z \n\nend\n";
        check("1700000000400000000", said, Ok(&[(-5, "ERROR a"), (-1, "")]));
        // Ten seconds ahead: its times are ours ten seconds later.
        let ahead = said.replace("22:12:20", "22:12:30");
        check("1700000010000000000", &ahead, Ok(&[(-15, "ERROR a"), (-11, "")]));
        check("1700000000000000000", "Error: No such container: x\n", Err("No such container"));
        check("1700000000000000000", "2023-11-14T22:13:15Z half", Err("only in part"));
        check("soon", said, Err("its time"));
        let long = format!("2023-11-14T22:13:15Z {}", "x".repeat(1 << 20));
        check("1700000000000000000", &long, Err("more than 1 MiB"));
    }

    #[test]
    fn restarts_are_read() {
        let text = "now 1700000000000000000\nid 2023-11-14T22:12:20.5Z 2023-11-14T22:13:00Z 4\n";
        let found = parse_restarts(text, at(0)).unwrap();
        assert_eq!((found[0].id.as_str(), found[0].restarts), ("id", 4));
        assert_eq!(found[0].made, at(-60) + SignedDuration::from_millis(500));
        assert_eq!(parse_restarts("now 1700000000000000000\n", at(0)), Some(Vec::new()));
        for wrong in
            ["", "now x\n", "now 1\nid\n", "now 1\nid when when 1\n", "now 1\nid 2023-11-14T22:12:20Z x -1\n"]
        {
            assert_eq!(parse_restarts(wrong, at(0)), None, "{wrong}");
        }
    }
}
