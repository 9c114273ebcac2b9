//! Fences that run: scripts by their language, actions by their first key.

use super::attributes::{self, On};
use super::document::Fence;
use super::{Findings, templates, yaml};
use crate::diagnostic::{Diagnostic, Span};
use crate::runbook::{ActionUse, Attributes, Item, Language, Script, Spanned};

/// The word after the fence's characters, and the inside of the braces after it.
struct Info<'a> {
    language: &'a str,
    /// The inside of the braces and where it starts.
    attributes: Option<(&'a str, usize)>,
    /// Braces never closed.
    unclosed: Option<Span>,
    /// What looks like an attribute, but stands outside braces.
    bare: Option<Span>,
}

fn info<'a>(source: &'a str, fence: &Fence) -> Info<'a> {
    let text = source.get(fence.info.start..fence.info.end).unwrap_or_default();
    let start = text.len() - text.trim_start().len();
    let rest = &text[start..];
    let length =
        rest.find(|character: char| character.is_whitespace() || character == '{').unwrap_or(rest.len());
    let language = &rest[..length];
    let after = &rest[length..];
    let mut info = Info { language, attributes: None, unclosed: None, bare: None };
    let trimmed = after.trim();
    if let Some(inside) = trimmed.strip_prefix('{') {
        let open = fence.info.start + start + length + (after.len() - after.trim_start().len());
        match inside.strip_suffix('}') {
            Some(inside) => info.attributes = Some((inside, open + 1)),
            None => info.unclosed = Some(Span::new(open, open + trimmed.len())),
        }
    } else if let Some(word) = trimmed.split_whitespace().find(|word| attributes::is_meant(word)) {
        let at = fence.info.start + text.find(word).unwrap_or_default();
        info.bare = Some(Span::new(at, at + word.len()));
    }
    info
}

fn language(name: &str) -> Option<Language> {
    match name.to_ascii_lowercase().as_str() {
        "sh" => Some(Language::Sh),
        // What people call `shell` is written for Bash; what is written for sh runs in it too.
        "bash" | "shell" => Some(Language::Bash),
        "python" | "python3" | "py" => Some(Language::Python),
        _ => None,
    }
}

/// Whether the fence is plain text: no language, or one that says so.
pub(super) fn is_plain(source: &str, fence: &Fence) -> bool {
    matches!(
        info(source, fence).language.to_ascii_lowercase().as_str(),
        "" | "text" | "txt" | "plain" | "plaintext"
    )
}

/// Whether the fence is a typed action: YAML whose first key is `uses`.
pub(super) fn is_action(source: &str, fence: &Fence) -> bool {
    is_yaml(info(source, fence).language) && first_key(&fence.text) == Some("uses")
}

fn is_yaml(language: &str) -> bool {
    language.eq_ignore_ascii_case("yaml") || language.eq_ignore_ascii_case("yml")
}

fn first_key(text: &str) -> Option<&str> {
    let line = text.lines().map(str::trim_end).find(|line| {
        let line = line.trim_start();
        !line.is_empty() && !line.starts_with('#') && line != "---"
    })?;
    let (key, _) = line.split_once(':')?;
    Some(key.trim().trim_matches(['"', '\'']))
}

/// What a fence does, or `None` when it is documentation.
pub(super) fn item(source: &str, fence: &Fence, findings: &mut Findings) -> Option<Item> {
    let info = info(source, fence);
    let on = match language(info.language) {
        Some(_) => On::Script,
        None if is_yaml(info.language) => match first_key(&fence.text) {
            Some("uses") => On::Action,
            _ => {
                let is_documentation = info
                    .attributes
                    .is_some_and(|(text, _)| text.split_whitespace().any(|word| word == "run=false"));
                if !is_documentation && !misspelt_uses(fence, findings) {
                    misplaced_uses(fence, findings);
                }
                return None;
            }
        },
        None => return None,
    };
    if let Some(place) = info.unclosed {
        findings.push(
            Diagnostic::error("bad-attribute", "these braces are never closed", place)
                .help("close them on the same line: {id=build}"),
        );
    }
    if let Some(place) = info.bare {
        findings.push(
            Diagnostic::error(
                "bad-attribute",
                "this attribute stands outside braces, and would not count",
                place,
            )
            .help("write them in braces after the language: {run=false}"),
        );
    }
    let attributes = match info.attributes {
        Some((text, base)) => attributes::read(text, base, on, findings),
        None => Attributes::default(),
    };
    match language(info.language) {
        Some(language) => {
            Some(Item::Script(Script { language, text: fence.text.clone(), span: fence.span, attributes }))
        }
        None => action(fence, attributes, findings).map(Item::Action),
    }
}

/// Points at a first key that is meant as `uses`: such a fence would silently not run.
fn misspelt_uses(fence: &Fence, findings: &mut Findings) -> bool {
    let Some(key) = first_key(&fence.text) else { return false };
    // Only a name as its value looks like an action: `users:` over a list, or `- uses: x`, is documentation.
    let is_word = key.chars().all(|character| character.is_ascii_alphabetic());
    let offset = key.as_ptr().addr().saturating_sub(fence.text.as_ptr().addr());
    let line = fence.text[offset..].lines().next().unwrap_or_default();
    let value = line.split_once(':').map_or("", |(_, value)| value);
    let value = value.split(" #").next().unwrap_or_default().trim().trim_matches(['"', '\'']);
    let is_name = value.starts_with(|character: char| character.is_ascii_alphabetic())
        && !value.contains(char::is_whitespace);
    // Keys of one or two letters are as near as that to many words.
    if !is_word || !is_name || key.len() < 3 || !is_within_two(key, "uses") {
        return false;
    }
    findings.push(
        Diagnostic::error(
            "unknown-key",
            format!("this fence does not run: its first key is `{key}`, not `uses`"),
            fence.source_span(offset, offset + key.len()),
        )
        .help("did you mean `uses`? For documentation write {run=false} after the language"),
    );
    true
}

fn is_within_two(key: &str, name: &str) -> bool {
    key.len().abs_diff(name.len()) <= 2 && strsim::damerau_levenshtein(&key.to_ascii_lowercase(), name) <= 2
}

fn misplaced_uses(fence: &Fence, findings: &mut Findings) {
    let mut offset = 0;
    for line in fence.text.split_inclusive('\n') {
        if line.strip_prefix("uses").is_some_and(|rest| rest.trim_start().starts_with(':')) {
            findings.push(
                Diagnostic::warning(
                    "not-an-action",
                    "this fence does not run: `uses` is not its first key",
                    fence.source_span(offset, offset + "uses".len()),
                )
                .help("move `uses:` to the top"),
            );
            return;
        }
        offset += line.len();
    }
}

fn action(fence: &Fence, attributes: Attributes, findings: &mut Findings) -> Option<ActionUse> {
    let place = |span: Span| fence.source_span(span.start, span.end);
    let root = match yaml::read(&fence.text) {
        Ok(root) => root,
        Err(error) => {
            let span = error.span.map_or(fence.span, place);
            let finding = Diagnostic::error("bad-yaml", error.message, span);
            findings.push(if fence.text.contains("{{") {
                finding.help("a template in YAML needs quotes: version: \"{{ version }}\"")
            } else {
                finding
            });
            return None;
        }
    };
    let yaml::Value::Map(pairs) = &root.value else {
        findings.push(Diagnostic::error(
            "bad-yaml",
            "an action is a mapping with the key `uses`",
            fence.span,
        ));
        return None;
    };
    let mut uses = None;
    let mut with = serde_json::Value::Object(serde_json::Map::new());
    for (key, value) in pairs {
        match key.as_str() {
            Some("uses") => match value.as_str().map(str::trim).filter(|name| !name.is_empty()) {
                Some(name) => {
                    uses = Some(Spanned { value: crate::text::sanitize_line(name), span: place(value.span) })
                }
                None => findings.push(
                    Diagnostic::error(
                        "wrong-type",
                        format!("`uses` must be the name of an action, not {}", value.kind()),
                        place(key.span),
                    )
                    .help("such as `uses: git.tag`"),
                ),
            },
            Some("with") => match &value.value {
                yaml::Value::Map(_) => {
                    with = value.to_json();
                    check_templates(value, fence, findings);
                }
                yaml::Value::Null => {}
                _ => findings.push(Diagnostic::error(
                    "wrong-type",
                    format!("`with` must be a mapping of parameters, not {}", value.kind()),
                    place(value.span),
                )),
            },
            _ => {
                let name = key.scalar(&fence.text).unwrap_or_default();
                findings.push(
                    Diagnostic::error(
                        "unknown-key",
                        format!("unknown key of an action: `{name}`"),
                        place(key.span),
                    )
                    .suggest(&name, ["uses", "with"]),
                );
            }
        }
    }
    Some(ActionUse { uses: uses?, with, span: fence.span, attributes })
}

/// Points at every text that is meant as a template and is not one.
fn check_templates(node: &yaml::Node, fence: &Fence, findings: &mut Findings) {
    match &node.value {
        yaml::Value::Text(text) => {
            if let Some(problem) = templates::template_problem(text) {
                let place = fence.source_span(node.span.start, node.span.end);
                findings.push(
                    Diagnostic::error("bad-template", format!("this is not a template: {problem}"), place)
                        .help("such as \"{{ version }}\""),
                );
            }
        }
        yaml::Value::List(nodes) => nodes.iter().for_each(|node| check_templates(node, fence, findings)),
        yaml::Value::Map(pairs) => pairs.iter().for_each(|(_, node)| check_templates(node, fence, findings)),
        yaml::Value::Null | yaml::Value::Boolean(_) | yaml::Value::Integer(_) | yaml::Value::Float(_) => {}
    }
}
