//! The servers of an upstream in a configuration of nginx. Everything else stays as it is, byte by byte.

use std::ops::Range;

use super::super::{Admission, Course, Proxy, Status};
use crate::adapters::remote::Result;

/// A statement `server ADDRESS WORDS...;`.
pub(super) struct Entry<'a> {
    address: &'a str,
    words: Vec<Word<'a>>,
    /// Where its semicolon is.
    end: usize,
}

#[derive(Clone)]
struct Word<'a> {
    text: &'a str,
    place: Range<usize>,
}

impl Entry<'_> {
    pub(super) fn status(&self, proxy: &Proxy) -> Status {
        let has = |text: &str| self.words.iter().any(|word| word.text == text);
        let weight = self.words.iter().find_map(|word| word.text.strip_prefix("weight=")?.parse().ok());
        Status {
            server: proxy.name_of(self.address),
            address: self.address.to_owned(),
            admission: if has("down") { Admission::Maintenance } else { Admission::Ready },
            weight: weight.unwrap_or(1),
            sessions: None,
            up: None,
        }
    }

    fn follow(&self, course: &Course, text: &str, changes: &mut Vec<(Range<usize>, String)>) {
        let mut added = String::new();
        let down = self.words.iter().find(|word| word.text == "down");
        match (down, course.admission) {
            (Some(word), Admission::Ready) => {
                let head = text.get(..word.place.start).unwrap_or_default();
                changes.push((head.trim_end().len()..word.place.end, String::new()));
            }
            (None, Admission::Drain | Admission::Maintenance) => added.push_str(" down"),
            _ => {}
        }
        let weight = self.words.iter().find(|word| word.text.starts_with("weight="));
        match (weight, course.weight) {
            (Some(word), Some(weight)) => changes.push((word.place.clone(), format!("weight={weight}"))),
            (None, Some(weight)) => added.insert_str(0, &format!(" weight={weight}")),
            (_, None) => {}
        }
        if !added.is_empty() {
            changes.push((self.end..self.end, added));
        }
    }
}

/// The configuration as the courses want it.
///
/// # Errors
/// When the upstream or a server is not in it.
pub(super) fn edit(proxy: &Proxy, file: &str, text: &str, courses: &[Course]) -> Result<String> {
    let servers = servers(proxy, file, text)?;
    let mut changes = Vec::new();
    for course in courses {
        let address = course.address.clone().unwrap_or_else(|| proxy.known_address(&course.server));
        let mut found = servers.iter().filter(|server| server.address == address).peekable();
        if found.peek().is_none() {
            return Err(proxy.unknown(file, "server", &address, servers.iter().map(|server| server.address)));
        }
        for server in found {
            server.follow(course, text, &mut changes);
        }
    }
    // From the end, so that places stay where they are.
    changes.sort_by_key(|(range, _)| std::cmp::Reverse((range.start, range.end)));
    let mut edited = text.to_owned();
    for (range, with) in changes {
        edited.replace_range(range, &with);
    }
    Ok(edited)
}

/// The servers of the upstream.
///
/// # Errors
/// When there is no upstream of its name.
pub(super) fn servers<'a>(proxy: &Proxy, file: &str, text: &'a str) -> Result<Vec<Entry<'a>>> {
    let mut upstreams: Vec<&str> = Vec::new();
    let mut found: Option<Vec<Entry<'a>>> = None;
    let mut statement: Vec<Word<'a>> = Vec::new();
    let mut is_inside = false;
    for word in words(text) {
        let first = |place: usize| statement.get(place).map_or("", |word: &Word<'a>| word.text);
        match word.text {
            "{" => {
                is_inside = first(0) == "upstream" && first(1) == proxy.table.backend;
                if first(0) == "upstream" {
                    upstreams.push(first(1));
                }
                if is_inside {
                    found.get_or_insert_default();
                }
                statement.clear();
            }
            "}" => {
                is_inside = false;
                statement.clear();
            }
            ";" => {
                if is_inside
                    && first(0) == "server"
                    && let (Some(address), Some(found)) = (statement.get(1), &mut found)
                {
                    let words = statement.get(2..).unwrap_or_default().to_vec();
                    found.push(Entry { address: address.text, words, end: word.place.start });
                }
                statement.clear();
            }
            _ => statement.push(word),
        }
    }
    found.ok_or_else(|| proxy.unknown(file, "upstream", &proxy.table.backend, upstreams.into_iter()))
}

/// The words of a configuration, as they are written, and `{`, `}` and `;` as words of their own.
fn words(text: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut start: Option<usize> = None;
    let (mut quote, mut is_escaped, mut is_comment) = (None, false, false);
    let mut push = |place: Range<usize>| {
        words.extend(text.get(place.clone()).map(|text| Word { text, place }));
    };
    let mut last = ' ';
    for (place, letter) in text.char_indices() {
        if is_comment {
            is_comment = letter != '\n';
            last = letter;
            continue;
        }
        let was_escaped = is_escaped;
        is_escaped = !was_escaped && letter == '\\';
        // `${name}` is a variable, not a block.
        let is_variable = letter == '{' && last == '$';
        last = letter;
        if let Some(open) = quote {
            if letter == open && !was_escaped {
                quote = None;
            }
            continue;
        }
        if was_escaped || is_variable {
            start.get_or_insert(place);
            continue;
        }
        match letter {
            '#' if start.is_none() => is_comment = true,
            '"' | '\'' if start.is_none() => {
                quote = Some(letter);
                start = Some(place);
            }
            ';' | '{' => {
                if let Some(start) = start.take() {
                    push(start..place);
                }
                push(place..place + 1);
            }
            // Inside a word it ends a variable.
            '}' if start.is_none() => push(place..place + 1),
            letter if letter.is_whitespace() => {
                if let Some(start) = start.take() {
                    push(start..place);
                }
            }
            _ => {
                start.get_or_insert(place);
            }
        }
    }
    if let Some(start) = start {
        push(start..text.len());
    }
    words
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
    fn only_the_servers_of_the_upstream_change() {
        use Admission::{Drain, Maintenance, Ready};
        for (line, wanted, expect) in [
            ("server 127.0.0.1:8081;", (Maintenance, None), "server 127.0.0.1:8081 down;"),
            ("server 127.0.0.1:8081;", (Drain, None), "server 127.0.0.1:8081 down;"),
            ("server 127.0.0.1:8081 down;", (Ready, None), "server 127.0.0.1:8081;"),
            ("server 127.0.0.1:8081 down backup;", (Ready, None), "server 127.0.0.1:8081 backup;"),
            ("server 127.0.0.1:8081\n  down\n  ;", (Ready, None), "server 127.0.0.1:8081\n  ;"),
            ("server 127.0.0.1:8081 down;", (Drain, None), "server 127.0.0.1:8081 down;"),
            ("server 127.0.0.1:8081 weight=5;", (Ready, Some(10)), "server 127.0.0.1:8081 weight=10;"),
            ("server 127.0.0.1:8081;", (Drain, Some(10)), "server 127.0.0.1:8081 weight=10 down;"),
            (
                "server 127.0.0.1:8081 max_fails=1 ; # down",
                (Drain, None),
                "server 127.0.0.1:8081 max_fails=1  down; # down",
            ),
            (
                "# server 127.0.0.1:8081;\nserver 127.0.0.1:8081;",
                (Drain, None),
                "# server 127.0.0.1:8081;\nserver 127.0.0.1:8081 down;",
            ),
        ] {
            let around = |line: &str| {
                format!(
                    "log_format x '$host {{ upstream shop {{ }}';\nupstream shops {{ server 127.0.0.1:8081; }}\nupstream shop\n{{\n  \
                     {line}\n  server 127.0.0.1:8082 down;\n  zone ${{x}}y 64k;\n}}\nserver {{ server_name a; }}\nupstream other {{ \
                     server 127.0.0.1:8081; }}\n"
                )
            };
            let proxy = unasked(ProxyKind::Nginx, "shop");
            let edited = edit(&proxy, "f", &around(line), &[course("blue", wanted.0, wanted.1)]).unwrap();
            assert_eq!(edited, around(expect));
        }
    }

    #[test]
    fn what_the_file_says_is_read() {
        let proxy = unasked(ProxyKind::Nginx, "shop");
        let text =
            "upstream shop { server 127.0.0.1:8081 weight=7; server 127.0.0.1:8082 down; server unix:/x; }";
        let all: Vec<_> =
            servers(&proxy, "f", text).unwrap().iter().map(|server| server.status(&proxy)).collect();
        let told: Vec<_> =
            all.iter().map(|status| (status.server.as_str(), status.admission, status.weight)).collect();
        use Admission::{Maintenance, Ready};
        assert_eq!(told, [("blue", Ready, 7), ("green", Maintenance, 1), ("unix:/x", Ready, 1)]);
    }

    proptest! {
        #[test]
        fn there_and_back_is_where_it_was(parts in proptest::collection::vec(
            prop_oneof![
                Just("# } é\n"), Just("map $a $b { x 'y;'; }\n"), Just("upstream other { server 127.0.0.1:8081; }\n"),
                Just("log_format a \"{;\\\"}\";\n"), Just("\r\n\t"), Just("set $x ${y};\n"),
            ],
            0..10,
        )) {
            let proxy = unasked(ProxyKind::Nginx, "shop");
            let text = format!("{}upstream shop {{server 127.0.0.1:8081;server 127.0.0.1:8082 backup ;}}", parts.concat());
            let out: Vec<Course> = ["blue", "green"].map(|name| course(name, Admission::Maintenance, None)).into();
            let back: Vec<Course> = ["blue", "green"].map(|name| course(name, Admission::Ready, None)).into();
            let held = edit(&proxy, "f", &text, &out).unwrap();
            prop_assert_eq!(held.len(), text.len() + 2 * " down".len());
            prop_assert_eq!(edit(&proxy, "f", &held, &out).unwrap(), held.clone());
            let again = edit(&proxy, "f", &held, &back).unwrap();
            prop_assert_eq!(again.replace(' ', ""), text.replace(' ', ""));
        }

        #[test]
        fn no_text_makes_it_panic(text in "(upstream shop \\{)?(server 127.0.0.1:8081|[ #\"'\\\\\t\n;{}$é]|down|weight=){0,40}") {
            let proxy = unasked(ProxyKind::Nginx, "shop");
            let _either = edit(&proxy, "f", &text, &[course("blue", Admission::Drain, Some(3))]);
        }
    }
}
