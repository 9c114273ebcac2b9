//! What a script says that it probably does not mean: literal versions, alternatives that both run,
//! destructive or impossible commands.

use super::Findings;
use crate::diagnostic::{Diagnostic, Span};
use crate::runbook::{Check, Item, Language, Runbook};

/// Warns about every script and check command of `runbook`.
pub(super) fn scripts(source: &str, runbook: &Runbook, findings: &mut Findings) {
    for item in runbook.items() {
        match item {
            Item::Script(script) if script.attributes.skip => {}
            Item::Script(script) => {
                let text = Text { source, span: script.span };
                versions(&text, script.language, findings);
                if script.language != Language::Python {
                    alternatives(&text, findings);
                    commands(&text, findings);
                }
            }
            Item::Check(check) => command(source, check, findings),
            Item::Checklist(list) => list.checks.iter().for_each(|check| command(source, check, findings)),
            Item::Action(_) | Item::Call(_) => {}
        }
    }
}

fn command(source: &str, check: &Check, findings: &mut Findings) {
    if let Some(command) = &check.command {
        let text = Text { source, span: command.span };
        versions(&text, Language::Bash, findings);
        commands(&text, findings);
    }
    check.children.iter().for_each(|child| command(source, child, findings));
}

/// A script as it stands in the source, so that every finding has its exact place.
struct Text<'a> {
    source: &'a str,
    span: Span,
}

impl<'a> Text<'a> {
    /// Each line and its first byte in the source.
    fn lines(&self) -> impl Iterator<Item = (usize, &'a str)> + use<'a> {
        let mut offset = self.span.start;
        let text = self.source.get(self.span.start..self.span.end).unwrap_or_default();
        text.split_inclusive('\n').map(move |line| {
            let start = offset;
            offset += line.len();
            (start, line.trim_end())
        })
    }
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

fn versions(text: &Text<'_>, language: Language, findings: &mut Findings) {
    for (start, line) in text.lines().filter(|(_, line)| !is_comment(line)) {
        for (from, to) in literal_versions(line) {
            let version = &line[from..to];
            let variable = if version.starts_with('v') { "WINDLASS_TAG" } else { "WINDLASS_VERSION" };
            let help = match language {
                Language::Python => format!("use os.environ[\"{variable}\"]"),
                Language::Sh | Language::Bash => format!("use \"${variable}\""),
            };
            findings.push(
                Diagnostic::warning(
                    "literal-version",
                    format!("`{version}` stays the same in every release"),
                    Span::new(start + from, start + to),
                )
                .help(help),
            );
        }
    }
}

/// Where `line` has what looks like the version of the release: `1.2.3`, `v1.2.3`, `1.2.3-rc.1`. Not part
/// of a longer dotted number (an address), not pinned by `==`, `@`, `:` and the like unless it has a `v`.
fn literal_versions(line: &str) -> Vec<(usize, usize)> {
    let bytes = line.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let digits_end =
            |from: usize| from + bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let mut end = digits_end(at);
        let mut parts = 1;
        while bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit) {
            end = digits_end(end + 1);
            parts += 1;
        }
        let tagged = at > 0 && bytes[at - 1] == b'v';
        let start = if tagged { at - 1 } else { at };
        let before = &line[..start];
        let joined = before.ends_with(|last: char| last.is_alphanumeric() || last == '.' || last == '_')
            || bytes.get(end).is_some_and(|next| next.is_ascii_alphanumeric() || *next == b'_');
        let pinned =
            ["==", ">=", "<=", "~=", "!=", "@", ":", "^", "~"].iter().any(|pin| before.ends_with(pin));
        if parts == 3 && !joined && (tagged || !pinned) {
            end += suffix(&line[end..]);
            found.push((start, end));
        }
        at = end.max(at + 1);
    }
    found
}

/// The length of `-rc.1` and its like at the start of `rest`.
fn suffix(rest: &str) -> usize {
    let Some(after) = rest.strip_prefix('-') else { return 0 };
    let channels = ["alpha", "beta", "rc", "pre", "dev", "hotfix", "rollback"];
    let Some(channel) = channels.iter().find(|channel| after.starts_with(**channel)) else { return 0 };
    let number = &after[channel.len()..];
    let digits = number.trim_start_matches(|character: char| character.is_ascii_digit() || character == '.');
    1 + channel.len() + number[..number.len() - digits.len()].trim_end_matches('.').len()
}

/// A comment that only says "or" between two commands: both run.
fn alternatives(text: &Text<'_>, findings: &mut Findings) {
    let lines: Vec<(usize, &str)> = text.lines().collect();
    let runs = |line: &(usize, &str)| !line.1.trim().is_empty() && !is_comment(line.1);
    let (Some(first), Some(last)) = (lines.iter().position(runs), lines.iter().rposition(runs)) else {
        return;
    };
    for (start, line) in &lines[first..last] {
        if is_or(line) {
            let indent = line.len() - line.trim_start().len();
            findings.push(
                Diagnostic::warning(
                    "alternatives",
                    "the commands before and after this comment both run",
                    Span::new(start + indent, start + line.len()),
                )
                .help("keep one, or mark the other fence {run=false}"),
            );
        }
    }
}

/// `# or`, `# ou`, with a few words more at most: a longer comment is a sentence.
fn is_or(line: &str) -> bool {
    let words: Vec<&str> = line.trim().trim_start_matches('#').split_whitespace().collect();
    let first = words.first().map(|word| word.trim_end_matches([':', ',']).to_lowercase());
    is_comment(line) && matches!(first.as_deref(), Some("or" | "ou")) && words.len() <= 3
}

fn commands(text: &Text<'_>, findings: &mut Findings) {
    for (start, line) in text.lines().filter(|(_, line)| !is_comment(line)) {
        let mut offset = 0;
        for command in line.split_inclusive(['|', ';', '&']) {
            let words: Vec<&str> = command
                .trim_end_matches(['|', ';', '&'])
                .split_whitespace()
                .map(|word| word.trim_matches(['"', '\'']))
                .collect();
            if let Some((message, help)) = dangerous(&words) {
                let from = start + offset + (command.len() - command.trim_start().len());
                let length = command.trim_end_matches(['|', ';', '&']).trim().len();
                findings.push(
                    Diagnostic::warning("destructive", message, Span::new(from, from + length)).help(help),
                );
            }
            offset += command.len();
        }
    }
}

/// What is wrong with a command, and what to do instead.
fn dangerous(words: &[&str]) -> Option<(&'static str, &'static str)> {
    let skipped =
        words.iter().take_while(|word| **word == "sudo" || **word == "!" || word.contains('=')).count();
    let words = words.get(skipped..)?;
    let short = |letter: char| {
        words.iter().any(|word| {
            word.strip_prefix('-')
                .is_some_and(|letters| !letters.starts_with('-') && letters.contains(letter))
        })
    };
    let has = |flag: &str| words.contains(&flag);
    match words {
        ["docker", "system", "prune", ..] if short('a') || has("--all") => Some((
            "this deletes every image no container uses, the previous release's included",
            "remove what this release made by its name, or keep the previous version's image",
        )),
        ["docker" | "podman", "image", "prune", ..] if short('a') || has("--all") => Some((
            "this deletes every image no container uses, the previous release's included",
            "remove what this release made by its name, or keep the previous version's image",
        )),
        ["docker" | "podman", "volume", "prune", ..] | ["docker" | "podman", "system", "prune", ..]
            if words.get(1) == Some(&"volume") || has("--volumes") =>
        {
            Some((
                "this deletes the data of every container that does not run just now",
                "remove a volume by its name",
            ))
        }
        ["docker" | "podman", "compose", rest @ ..] | ["docker-compose", rest @ ..]
            if rest.contains(&"down") && (short('v') || has("--volumes")) =>
        {
            Some(("this deletes the data of the services", "leave out --volumes"))
        }
        ["git", "push", ..] if short('f') || has("--force") => Some((
            "this overwrites what others pushed",
            "use --force-with-lease, or the action git.push, which leases",
        )),
        ["docker", "build", ..] | ["docker", "buildx", "build", ..] if has("--dry-run") => {
            Some(("`docker build` has no --dry-run", "use `docker build --check`, or build and do not push"))
        }
        ["git", "revert", rest @ ..] if rest.iter().any(|word| is_release(word)) => Some((
            "`git revert` of a tag takes back one commit, not the release",
            "revert the range of its commits, or deploy the previous version again",
        )),
        _ => None,
    }
}

fn is_release(word: &str) -> bool {
    matches!(word.trim_matches(['"', '\'', '{', '}']), "$WINDLASS_TAG" | "$WINDLASS_PREVIOUS_TAG")
        || word.starts_with("v$")
        || (word.starts_with('v') && literal_versions(word).first().is_some_and(|found| found.0 == 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_that_can_be_the_releases() {
        let check = |line: &str, expect: &[&str]| {
            let found: Vec<&str> =
                literal_versions(line).iter().map(|(from, to)| &line[*from..*to]).collect();
            assert_eq!(found, expect, "{line}");
        };
        check("git push origin v1.2.0", &["v1.2.0"]);
        check("git tag -a v1.2.0 -m \"Release v1.2.0", &["v1.2.0", "v1.2.0"]);
        check("kubectl set image app=myapp:v1.2.0", &["v1.2.0"]);
        check("make VERSION=1.1.0-rc.1", &["1.1.0-rc.1"]);
        check("twine check dist/app-1.2.0-py3-none-any.whl", &["1.2.0"]);
        check("dist/app-1.2.0.tar.gz", &["1.2.0"]);
        check("curl http://127.0.0.1:8080", &[]);
        check("docker run python:3.11.2", &[]);
        check("pip install black==24.1.0 'x>=1.2.3'", &[]);
        check("npx tool@1.2.3", &[]);
        check("node 18.2", &[]);
        check("rev1.2.3 1.2.3.4 a1.2.3b", &[]);
        check("é1.2.3é → v9.9.9", &["v9.9.9"]);
    }

    #[test]
    fn only_an_or_on_its_own_separates_alternatives() {
        let check = |line: &str, expect: bool| assert_eq!(is_or(line), expect, "{line}");
        check("# ou", true);
        check("  # OR:", true);
        check("# ou manuellement", true);
        check("# or else the whole build fails", false);
        check("# order matters", false);
        check("or", false);
    }

    #[test]
    fn dangerous_commands_are_named() {
        let check = |command: &str, expect: bool| {
            let words: Vec<&str> = command.split_whitespace().collect();
            assert_eq!(dangerous(&words).is_some(), expect, "{command}");
        };
        check("docker system prune -a", true);
        check("sudo docker system prune -af", true);
        check("docker system prune", false);
        check("git push --force origin main", true);
        check("git push -f", true);
        check("git push --force-with-lease", false);
        check("docker system prune --volumes -f", true);
        check("docker image prune -a", true);
        check("docker image prune", false);
        check("docker volume prune", true);
        check("docker compose -f a.yml down -v", true);
        check("docker-compose down --volumes", true);
        check("docker compose down", false);
        check("docker compose up -d -V", false);
        check("docker build --dry-run .", true);
        check("git revert v1.2.0", true);
        check("git revert abc123", false);
    }
}
