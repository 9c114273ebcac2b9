//! The words of `windlass env` and `windlass lock`.

use std::fmt::Write as _;

use jiff::Timestamp;
use windlass_actions::adapters::remote::State;
use windlass_actions::deploy::drift::short;
use windlass_actions::deploy::lock::Held;
use windlass_core::text::sanitize_line;

use super::{Paint, words};
use crate::commands::env::{HostTold, Output, Told};

/// What was found, an environment after the other.
pub fn text(output: &Output, paint: Paint, now: Timestamp) -> String {
    let mut text = String::new();
    for (number, told) in output.environments.iter().enumerate() {
        if number > 0 {
            text.push('\n');
        }
        environment(&mut text, told, paint, now);
    }
    text
}

fn environment(text: &mut String, told: &Told, paint: Paint, now: Timestamp) {
    let version = match &told.version {
        Some(version) => version.clone(),
        None if told.hosts.iter().all(|host| host.version.is_none() && host.unreachable.is_none()) => {
            "nothing deployed".to_owned()
        }
        None if told.hosts.iter().any(|host| host.unreachable.is_some()) => "not known everywhere".to_owned(),
        None => paint.bad("different versions"),
    };
    let url =
        told.url.as_deref().map(|url| format!("  {}", paint.dim(&sanitize_line(url)))).unwrap_or_default();
    let _ = writeln!(text, "{}  {version}{url}", paint.bold(&told.name));
    let width = told.hosts.iter().map(|host| host.host.len()).max().unwrap_or_default();
    for host in &told.hosts {
        self::host(text, host, width, paint, now);
    }
    let images = told.hosts.first().map(|host| &host.images);
    for (service, image) in images.into_iter().flatten() {
        let _ = writeln!(
            text,
            "  {}",
            paint.dim(&format!("{} {}", sanitize_line(service), short(&sanitize_line(image))))
        );
    }
    if let Some(health) = &told.health {
        let line = match &health.problem {
            None => format!("{} {}", paint.good("healthy"), sanitize_line(&health.address)),
            Some(problem) => paint.bad(&sanitize_line(problem)),
        };
        let _ = writeln!(text, "  {line}");
    }
    for (proxy, since) in &told.held {
        let since = since.map(|since| format!(" since {}", words::moment(since, now))).unwrap_or_default();
        let line = format!("traffic is held{since}: {} lets nothing through", sanitize_line(proxy));
        let _ = writeln!(text, "  {}", paint.bad(&line));
    }
    for lock in &told.locks {
        let _ = writeln!(text, "  {}", paint.warn(&self::lock(lock, now)));
    }
}

fn host(text: &mut String, host: &HostTold, width: usize, paint: Paint, now: Timestamp) {
    let name = format!("{:<width$}", host.host);
    if let Some(why) = &host.unreachable {
        let _ = writeln!(text, "  {name}  {} {}", paint.bad("not known:"), why);
        return;
    }
    let (Some(version), Some(state)) = (&host.version, host.state) else {
        let _ = writeln!(text, "  {name}  {}", paint.dim("nothing deployed"));
        return;
    };
    let since = host.since.map(|at| words::moment(at, now)).unwrap_or_default();
    let run = host.run.as_deref().unwrap_or_default();
    let mark = match (state, host.drift.is_empty()) {
        (State::Live, true) => paint.good("as deployed"),
        _ => paint.bad("differs"),
    };
    let colour = host.colour.map(|colour| format!(" in {}", colour.as_str())).unwrap_or_default();
    let about = paint.dim(&format!("{since} by {run}"));
    let _ = writeln!(text, "  {name}  {version}{colour}  {mark}  {about}");
    if let Some(idle) = &host.idle {
        let how = if idle.hot { "ready to take the traffic back" } else { "stopped" };
        let line = format!("{} has {}, {how}", idle.colour.as_str(), sanitize_line(&idle.version));
        let _ = writeln!(text, "  {:width$}  {}", "", paint.dim(&line));
    }
    for line in &host.drift {
        let _ = writeln!(text, "  {:width$}  {}", "", paint.bad(line));
    }
}

/// Who holds a lock, in a line.
pub fn lock(held: &Held, now: Timestamp) -> String {
    let lock = &held.lock;
    let refused = match held.refused_on.is_empty() {
        true => String::new(),
        false => format!("; overtaken: {} refuse its steps", held.refused_on.join(", ")),
    };
    format!(
        "locked by {} ({}), fence {} on {}, since {}, until {} unless renewed{refused}",
        lock.run,
        lock.person,
        lock.fence,
        held.host,
        words::moment(lock.since, now),
        words::moment(lock.until, now)
    )
}

#[cfg(test)]
mod tests {
    use windlass_actions::adapters::remote::Lock;

    use super::*;

    #[test]
    fn locks_and_held_traffic_are_told() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let lock = |run: &str, fence| Lock {
            run: run.into(),
            epoch: 1,
            fence,
            until: at(60),
            since: at(0),
            person: "ann".into(),
        };
        let held = |host: &str, run: &str, fence, refused: &[&str]| Held {
            host: host.into(),
            lock: lock(run, fence),
            refused_on: refused.iter().map(|host| (*host).to_owned()).collect(),
        };
        let told = Told {
            name: "production".into(),
            url: None,
            purpose: None,
            version: None,
            drift: true,
            health: None,
            lock: None,
            locks: vec![held("web2", "back", 9, &[]), held("web1", "release", 8, &["web2", "web3"])],
            held: vec![("haproxy on web2".into(), Some(at(0))), ("haproxy on web3".into(), None)],
            breaks: Vec::new(),
            hosts: Vec::new(),
        };
        let text = text(&Output { environments: vec![told] }, Paint { color: false }, at(30));
        for part in [
            "traffic is held since ",
            "ago: haproxy on web2 lets nothing through",
            "traffic is held: haproxy on web3 lets nothing through",
            "locked by back (ann), fence 9 on web2, since ",
            "locked by release (ann), fence 8 on web1, since ",
            "; overtaken: web2, web3 refuse its steps",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }
}
