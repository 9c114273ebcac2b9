//! The lines of a backend's servers in a configuration of HAProxy. Everything else stays as it is, byte by byte.

use std::net::SocketAddr;
use std::ops::Range;

use super::super::{Admission, Course, Proxy};
use crate::adapters::remote::Result;

/// Words that begin a section (Configuration Manual, section 2).
const SECTIONS: &[&str] = &[
    "global",
    "defaults",
    "frontend",
    "backend",
    "listen",
    "peers",
    "resolvers",
    "mailers",
    "userlist",
    "program",
    "http-errors",
    "ring",
    "log-forward",
    "cache",
    "fcgi-app",
    "crt-store",
    "traces",
    "log-profile",
];
/// Words of a server whose value could be taken for a word of its own.
const WITH_VALUE: &[&str] = &["cookie", "sni", "check-sni", "namespace", "redir", "track", "init-state"];

/// The configuration as the courses want it.
///
/// # Errors
/// When the backend or a server is not in it.
pub(super) fn edit(proxy: &Proxy, file: &str, text: &str, courses: &[Course]) -> Result<String> {
    let servers = servers(text, &proxy.table.backend);
    let Some(servers) = servers else {
        return Err(proxy.unknown(file, "backend", &proxy.table.backend, backends(text).into_iter()));
    };
    let mut changes: Vec<(Range<usize>, String)> = Vec::new();
    for course in courses {
        let Some(server) = servers.iter().find(|server| server.name == course.server) else {
            let known = servers.iter().map(|server| server.name);
            return Err(proxy.unknown(file, "server", &course.server, known));
        };
        server.follow(course, text, &mut changes);
    }
    // From the end, so that places stay where they are.
    changes.sort_by_key(|(range, _)| std::cmp::Reverse((range.start, range.end)));
    let mut edited = text.to_owned();
    for (range, with) in changes {
        edited.replace_range(range, &with);
    }
    Ok(edited)
}

/// A line `server NAME ADDRESS WORDS...`.
struct Entry<'a> {
    name: &'a str,
    address: Word<'a>,
    words: Vec<Word<'a>>,
}

#[derive(Clone)]
struct Word<'a> {
    text: &'a str,
    place: Range<usize>,
}

impl Entry<'_> {
    fn follow(&self, course: &Course, text: &str, changes: &mut Vec<(Range<usize>, String)>) {
        let parsed = |text: &str| text.parse::<SocketAddr>().ok();
        // A host's name in the file may stand for the same address: only an address is replaced.
        if let (Some(now), Some(wanted)) = (parsed(self.address.text), course.address.as_deref())
            && parsed(wanted).is_some_and(|wanted| wanted != now)
        {
            changes.push((self.address.place.clone(), wanted.to_owned()));
        }
        let end = self.words.last().unwrap_or(&self.address).place.end;
        let mut added = String::new();
        let mut is_disabled = false;
        let mut has_weight = false;
        let mut before = "";
        let mut words = self.words.iter().peekable();
        while let Some(word) = words.next() {
            match word.text {
                _ if WITH_VALUE.contains(&before) => {}
                "disabled" => {
                    is_disabled = true;
                    if course.admission == Admission::Ready {
                        // With the space before it.
                        let head = text.get(..word.place.start).unwrap_or_default();
                        let begin = head.trim_end_matches([' ', '\t']).len();
                        changes.push((begin..word.place.end, String::new()));
                    }
                }
                "weight" => {
                    has_weight = true;
                    let value = words.peek().map(|value| value.place.clone());
                    if let (Some(weight), Some(value)) = (course.weight, value) {
                        changes.push((value, weight.to_string()));
                    }
                }
                _ => {}
            }
            before = word.text;
        }
        if let Some(weight) = course.weight.filter(|_| !has_weight) {
            added.push_str(&format!(" weight {weight}"));
        }
        if course.admission != Admission::Ready && !is_disabled {
            added.push_str(" disabled");
        }
        if !added.is_empty() {
            changes.push((end..end, added));
        }
    }
}

/// The servers of a backend; `None` when there is none of this name.
fn servers<'a>(text: &'a str, backend: &str) -> Option<Vec<Entry<'a>>> {
    let mut found = None;
    let mut is_inside = false;
    for words in lines(text) {
        let word = |place: usize| words.get(place).map_or("", |word| word.text);
        if SECTIONS.contains(&word(0)) {
            is_inside = matches!(word(0), "backend" | "listen") && word(1) == backend;
            if is_inside {
                found.get_or_insert_with(Vec::new);
            }
        } else if is_inside
            && word(0) == "server"
            && let (Some(name), Some(address), Some(found)) = (words.get(1), words.get(2), &mut found)
        {
            let rest = words.get(3..).unwrap_or_default().to_vec();
            found.push(Entry { name: name.text, address: address.clone(), words: rest });
        }
    }
    found
}

fn backends(text: &str) -> Vec<&str> {
    let name = |words: Vec<Word<'_>>| match words.first().map(|word| word.text) {
        Some("backend" | "listen") => words.get(1).map(|word| word.place.clone()),
        _ => None,
    };
    lines(text).filter_map(name).filter_map(|place| text.get(place)).collect()
}

/// The words of each line, as they are written (Configuration Manual, section 2.2: quotes, backslashes, comments).
fn lines(text: &str) -> impl Iterator<Item = Vec<Word<'_>>> {
    let mut begin = 0;
    text.split_inclusive('\n').map(move |line| {
        let mut words = Vec::new();
        let mut start = None;
        let (mut quote, mut is_escaped) = (None, false);
        let end = line.trim_end_matches(['\n', '\r']).len();
        let mut stop = end;
        for (place, letter) in line.get(..end).unwrap_or_default().char_indices() {
            let was_escaped = is_escaped;
            let is_plain = quote.is_none() && !was_escaped;
            is_escaped = !was_escaped && letter == '\\' && quote != Some('\'');
            if is_plain && letter == '#' {
                stop = place;
                break;
            }
            if is_plain && matches!(letter, ' ' | '\t') {
                if let Some(start) = start.take() {
                    words.push(start..place);
                }
                continue;
            }
            start.get_or_insert(place);
            match quote {
                None if is_plain && matches!(letter, '"' | '\'') => quote = Some(letter),
                Some(open) if open == letter && !was_escaped => quote = None,
                _ => {}
            }
        }
        words.extend(start.map(|start| start..stop));
        let word = |place: Range<usize>| {
            let place = begin + place.start..begin + place.end;
            text.get(place.clone()).map(|text| Word { text, place })
        };
        let words = words.into_iter().filter_map(word).collect();
        begin += line.len();
        words
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use windlass_core::config::ProxyKind;

    use super::super::super::unasked;
    use super::*;

    fn course(server: &str, admission: Admission, weight: Option<u32>) -> Course {
        Course { server: server.into(), address: None, admission, weight }
    }

    #[test]
    fn only_the_servers_of_the_backend_change() {
        use Admission::{Drain, Maintenance, Ready};
        for (line, wanted, expect) in [
            ("server a 10.0.0.1:80", (Maintenance, None), "server a 10.0.0.1:80 disabled"),
            ("server a 10.0.0.1:80", (Drain, None), "server a 10.0.0.1:80 disabled"),
            ("server a 10.0.0.1:80", (Ready, None), "server a 10.0.0.1:80"),
            ("server a 10.0.0.1:80 disabled", (Ready, None), "server a 10.0.0.1:80"),
            ("server a 10.0.0.1:80 disabled", (Drain, None), "server a 10.0.0.1:80 disabled"),
            ("server  a\t10.0.0.1:80  disabled  check", (Ready, None), "server  a\t10.0.0.1:80  check"),
            ("server a 10.0.0.1:80 check # disabled", (Ready, None), "server a 10.0.0.1:80 check # disabled"),
            ("server a 10.0.0.1:80 check # why", (Drain, None), "server a 10.0.0.1:80 check disabled # why"),
            ("server a 10.0.0.1:80 # why", (Drain, Some(5)), "server a 10.0.0.1:80 weight 5 disabled # why"),
            (
                "server a 10.0.0.1:80 weight 1 check",
                (Ready, Some(25)),
                "server a 10.0.0.1:80 weight 25 check",
            ),
            ("server a 10.0.0.1:80 weight 1 check", (Ready, None), "server a 10.0.0.1:80 weight 1 check"),
            ("server a 10.0.0.1:80 cookie disabled", (Ready, None), "server a 10.0.0.1:80 cookie disabled"),
            (
                "server a 10.0.0.1:80 cookie disabled",
                (Drain, None),
                "server a 10.0.0.1:80 cookie disabled disabled",
            ),
            (
                "server a 10.0.0.1:80 cookie \"x # y\"",
                (Drain, None),
                "server a 10.0.0.1:80 cookie \"x # y\" disabled",
            ),
            (
                "server a 10.0.0.1:80 cookie x\\ \\#",
                (Drain, None),
                "server a 10.0.0.1:80 cookie x\\ \\# disabled",
            ),
            ("server a 10.0.0.1:80\r", (Drain, None), "server a 10.0.0.1:80 disabled\r"),
        ] {
            let around = |line: &str| {
                format!(
                    "global\n  # backend shop\nbackend shops\n  server a 10.0.0.1:80\nbackend shop from x\n  {line}\n  server b \
                     10.0.0.2:80 disabled\nlisten other\n  server a 10.0.0.1:80\n"
                )
            };
            let proxy = unasked(ProxyKind::Haproxy, "shop");
            let edited = edit(&proxy, "f", &around(line), &[course("a", wanted.0, wanted.1)]).unwrap();
            assert_eq!(edited, around(expect));
        }
    }

    #[test]
    fn an_address_is_replaced_by_an_address_only() {
        let proxy = unasked(ProxyKind::Haproxy, "shop");
        for (before, wanted, expect) in [
            ("10.0.0.1:80", "10.0.0.2:81", "10.0.0.2:81"),
            ("10.0.0.1:80", "10.0.0.1:80", "10.0.0.1:80"),
            ("web1:80", "10.0.0.1:80", "web1:80"),
            ("10.0.0.1:80", "web1:80", "10.0.0.1:80"),
        ] {
            let text = |address: &str| format!("listen shop\n\tserver a {address} check");
            let course = Course { address: Some(wanted.into()), ..course("a", Admission::Ready, None) };
            assert_eq!(edit(&proxy, "f", &text(before), &[course]).unwrap(), text(expect));
        }
    }

    proptest! {
        #[test]
        fn there_and_back_is_where_it_was(lines in proptest::collection::vec(
            prop_oneof![
                Just("backend shop"), Just("frontend front"), Just("  server x 10.0.0.3:80 disabled"), Just("# é \"' \\"),
                Just("  option httpchk"), Just(""), Just("\r"), Just("\u{0}\u{7f}  \""), Just("backend other"),
            ],
            0..12,
        )) {
            let proxy = unasked(ProxyKind::Haproxy, "shop");
            let text = format!("{}\nbackend shop\n  server a 10.0.0.1:80 check #\n  server b b:1", lines.join("\n"));
            let out: Vec<Course> = ["a", "b"].map(|name| course(name, Admission::Maintenance, None)).into();
            let back: Vec<Course> = ["a", "b"].map(|name| course(name, Admission::Ready, None)).into();
            let held = edit(&proxy, "f", &text, &out).unwrap();
            prop_assert_eq!(held.len(), text.len() + 2 * " disabled".len());
            prop_assert_eq!(edit(&proxy, "f", &held, &out).unwrap(), held.clone());
            prop_assert_eq!(edit(&proxy, "f", &held, &back).unwrap(), text);
        }

        #[test]
        fn no_text_makes_it_panic(text in "(backend shop\n)?(server a|[ #\"'\\\\\t\né]|weight|disabled|[a-z.:]{0,4}){0,40}") {
            let proxy = unasked(ProxyKind::Haproxy, "shop");
            let _either = edit(&proxy, "f", &text, &[course("a", Admission::Drain, Some(3))]);
        }
    }
}
