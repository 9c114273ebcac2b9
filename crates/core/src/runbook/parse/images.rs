//! What a script does to container images that it probably does not mean: pushing another name than the one it tagged,
//! a name that belongs to nobody, `latest` for a pre-release.

use std::collections::{BTreeMap, BTreeSet};

use super::Findings;
use crate::diagnostic::{Diagnostic, Span};
use crate::runbook::{Item, Language, Runbook, Script};

/// Warns about every shell script of `runbook`.
pub(super) fn scripts(source: &str, runbook: &Runbook, findings: &mut Findings) {
    let guarded = |when: Option<&str>| when.is_some_and(|when| when.contains("channel"));
    for step in &runbook.steps {
        let when = step.settings.when.as_ref().map(|when| when.value.as_str());
        step.items.iter().for_each(|item| script(source, item, guarded(when), findings));
    }
    let others = runbook.rollback.iter().flat_map(|rollback| &rollback.items).chain(&runbook.preconditions);
    // A rollback puts `latest` back to what it was.
    others.for_each(|item| script(source, item, true, findings));
}

fn script(source: &str, item: &Item, is_guarded: bool, findings: &mut Findings) {
    let Item::Script(script) = item else { return };
    if script.attributes.skip || script.language == Language::Python {
        return;
    }
    let read = Read::of(source, script);
    let is_guarded = is_guarded || ["CHANNEL", "PREVIOUS"].iter().any(|word| read.text.contains(word));
    for (image, place) in &read.pushed {
        if let Some((code, message, help)) = problem(image, &read, is_guarded) {
            findings.push(Diagnostic::warning(code, message, *place).help(help));
        }
    }
}

/// What is wrong with pushing `image`, and what to do instead.
fn problem(image: &str, read: &Read<'_>, is_guarded: bool) -> Option<(&'static str, String, String)> {
    let shown = crate::text::sanitize_line(image);
    if !image.contains('/') && !image.starts_with('$') {
        let message = format!("`{shown}` names no registry and no user, so the push is refused");
        return Some((
            "wrong-image",
            message,
            "write it with both, such as registry.example.com/team/app:TAG".into(),
        ));
    }
    let named = read.tagged.get(last(image)).filter(|tagged| !tagged.contains(image));
    if let Some(other) = named.and_then(|tagged| tagged.iter().find(|other| !other.contains('/'))) {
        let other = crate::text::sanitize_line(other);
        let message =
            format!("`{shown}` is not what was tagged here: `{other}` is, and stays on this machine");
        return Some((
            "wrong-image",
            message,
            format!("tag it under the name that is pushed: docker tag IMAGE {shown}"),
        ));
    }
    (image.ends_with(":latest") && !is_guarded).then(|| {
        (
            "moves-latest",
            "this moves `latest` for a pre-release too".into(),
            "add `- When: channel == \"stable\"` to the step, or ask for \"$WINDLASS_CHANNEL\"".into(),
        )
    })
}

/// An image's own name and tag.
fn last(image: &str) -> &str {
    image.rsplit('/').next().unwrap_or(image)
}

/// What a script tags and pushes.
struct Read<'a> {
    text: &'a str,
    /// Names that images were given, by their last part.
    tagged: BTreeMap<&'a str, BTreeSet<&'a str>>,
    pushed: Vec<(&'a str, Span)>,
}

impl<'a> Read<'a> {
    fn of(source: &'a str, script: &Script) -> Self {
        let text = source.get(script.span.start..script.span.end).unwrap_or_default();
        let mut read = Self { text, tagged: BTreeMap::new(), pushed: Vec::new() };
        let mut words: Vec<(&str, usize)> = Vec::new();
        let mut offset = script.span.start;
        for line in text.split_inclusive('\n') {
            let start = offset;
            offset += line.len();
            if line.trim_start().starts_with('#') {
                continue;
            }
            let goes_on = line.trim_end().ends_with('\\');
            let mut at = start;
            for part in line.split_inclusive(['|', ';', '&']) {
                words.extend(split(part, at));
                at += part.len();
                if part.ends_with(['|', ';', '&']) {
                    read.command(&std::mem::take(&mut words));
                }
            }
            if !goes_on {
                read.command(&std::mem::take(&mut words));
            }
        }
        read.command(&words);
        read
    }

    fn command(&mut self, words: &[(&'a str, usize)]) {
        let skipped = words.iter().take_while(|(word, _)| *word == "sudo").count();
        let words = words.get(skipped..).unwrap_or_default();
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let mut tag = |image: &'a str| {
            self.tagged.entry(last(image)).or_default().insert(image);
        };
        match names.as_slice() {
            ["docker" | "podman", "tag", .., image] => tag(image),
            ["docker" | "podman", "build" | "buildx", rest @ ..] => {
                for pair in rest.windows(2) {
                    if let ["-t" | "--tag", image] = pair {
                        tag(image);
                    }
                }
            }
            ["docker" | "podman", "push", .., _] => {
                let plain = words.iter().rev().find(|(word, _)| !word.starts_with('-'));
                self.pushed.extend(plain.map(|(image, at)| (*image, Span::new(*at, at + image.len()))));
            }
            _ => {}
        }
    }
}

/// The words of a part of a line and where each stands, without quotes around them.
fn split(part: &str, start: usize) -> impl Iterator<Item = (&str, usize)> {
    part.split_whitespace().filter_map(move |word| {
        let at = start + (word.as_ptr() as usize - part.as_ptr() as usize);
        let inner = word.trim_end_matches(['|', ';', '&']).trim_matches(['"', '\'']);
        let quotes = word.len() - word.trim_start_matches(['"', '\'']).len();
        (!inner.is_empty() && inner != "\\").then_some((inner, at + quotes))
    })
}

#[cfg(test)]
mod tests {
    use crate::runbook::parse;

    #[test]
    fn images_that_are_not_what_was_meant() {
        let check = |script: &str, expect: &[&str]| {
            let source = format!("## Steps\n### One\n```sh\n{script}\n```\n");
            let found: Vec<String> = parse(&source)
                .diagnostics
                .iter()
                .filter(|finding| finding.code != "literal-version")
                .map(|finding| {
                    let span = finding.span.unwrap();
                    format!("{} {}", finding.code, &source[span.start..span.end])
                })
                .collect();
            assert_eq!(found, expect, "{script}");
        };
        let retag = "docker tag app:old app:latest\ndocker push \"user/app:latest\"";
        check(retag, &["wrong-image user/app:latest"]);
        check(
            "docker tag a:1 app:2\nsudo docker push --quiet reg.io/x/app:2",
            &["wrong-image reg.io/x/app:2"],
        );
        check("docker tag app:1 user/app:2 && docker push user/app:2", &[]);
        check("docker tag app:1 \\\n  user/app:2\ndocker push user/app:2", &[]);
        check("docker build -t app:2 .\ndocker tag app:2 user/app:2; docker push user/app:2", &[]);
        check("docker build --tag app:2 . ; docker push user/app:2", &["wrong-image user/app:2"]);
        check("docker push app:2", &["wrong-image app:2"]);
        check("docker push \"$IMAGE\"", &[]);
        check("docker push \"user/app:$WINDLASS_VERSION\"", &[]);
        check("docker push user/app:latest", &["moves-latest user/app:latest"]);
        check("[ $WINDLASS_CHANNEL = stable ] && docker push user/app:latest", &[]);
        check(
            "docker tag user/app:$WINDLASS_PREVIOUS_VERSION user/app:latest\ndocker push user/app:latest",
            &[],
        );
        check("# docker push app:2\necho docker push", &[]);
    }

    #[test]
    fn a_step_for_stable_releases_may_move_latest() {
        let check = |settings: &str, expect: usize| {
            let text = format!("## Steps\n### One\n{settings}\n```sh\ndocker push user/app:latest\n```\n");
            let found = parse(&text).diagnostics.iter().filter(|found| found.code == "moves-latest").count();
            assert_eq!(found, expect, "{settings}");
        };
        check("- When: channel == \"stable\"\n", 0);
        check("- Owner: ann\n", 1);
    }
}
