//! The attributes in braces after a fence's language or a heading's title.

use super::Findings;
use crate::diagnostic::{Diagnostic, Span};
use crate::duration::Duration;
use crate::runbook::{Attributes, InDoubt, Spanned};

/// One `key`, `key=value` or `key="value"`.
#[derive(Debug)]
pub(super) struct Pair {
    pub key: Spanned<String>,
    pub value: Option<Spanned<String>>,
}

/// Cuts `text`, which starts at byte `base` of the source, into pairs. A quoted value ends at its quote;
/// `\"` and `\\` stand for the characters themselves.
pub(super) fn pairs(text: &str, base: usize, findings: &mut Findings) -> Vec<Pair> {
    let mut pairs = Vec::new();
    let mut characters = text.char_indices().peekable();
    while let Some(&(start, first)) = characters.peek() {
        if first.is_whitespace() || first == ',' {
            characters.next();
            continue;
        }
        let mut end = text.len();
        while let Some(&(at, character)) = characters.peek() {
            if character.is_whitespace() || character == '=' {
                end = at;
                break;
            }
            characters.next();
        }
        let key = Spanned { value: text[start..end].to_owned(), span: Span::new(base + start, base + end) };
        let value = match characters.peek() {
            Some(&(_, '=')) => {
                characters.next();
                match value(text, base, &mut characters, findings) {
                    Some(value) => Some(value),
                    // Never closed, and said so: what it would have been is not guessed.
                    None => break,
                }
            }
            _ => None,
        };
        pairs.push(Pair { key, value });
    }
    pairs
}

type Characters<'a> = std::iter::Peekable<std::str::CharIndices<'a>>;

/// The value after an equals sign, or `None` when its quote is never closed.
fn value(
    text: &str,
    base: usize,
    characters: &mut Characters<'_>,
    findings: &mut Findings,
) -> Option<Spanned<String>> {
    let Some(&(start, quote)) = characters.peek() else {
        return Some(Spanned { value: String::new(), span: Span::new(base + text.len(), base + text.len()) });
    };
    let mut value = String::new();
    if quote != '"' && quote != '\'' {
        let mut end = text.len();
        while let Some(&(at, character)) = characters.peek() {
            if character.is_whitespace() {
                end = at;
                break;
            }
            value.push(character);
            characters.next();
        }
        return Some(Spanned { value, span: Span::new(base + start, base + end) });
    }
    characters.next();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' if matches!(characters.peek(), Some((_, '"' | '\'' | '\\'))) => {
                value.extend(characters.next().map(|(_, escaped)| escaped));
            }
            _ if character == quote => {
                return Some(Spanned { value, span: Span::new(base + start, base + at + 1) });
            }
            _ => value.push(character),
        }
    }
    let span = Span::new(base + start, base + text.len());
    findings.push(
        Diagnostic::error("bad-attribute", "this quoted value is never closed", span)
            .help(format!("add the closing {quote}")),
    );
    None
}

/// What the attributes are on: some belong to scripts only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum On {
    Script,
    Action,
}

const SCRIPT_KEYS: &[&str] =
    &["id", "retry", "timeout", "env", "secrets", "in-doubt", "probe", "undo", "effects", "optional", "run"];
const ACTION_KEYS: &[&str] = &["id", "retry", "timeout", "in-doubt", "optional", "run"];

/// Whether `word` is `key=value` with a key that means something in braces.
pub(super) fn is_meant(word: &str) -> bool {
    word.split_once('=').is_some_and(|(key, _)| SCRIPT_KEYS.contains(&key))
}

/// More attempts than this is a mistake, not a wish.
const MOST_RETRIES: u32 = 1000;

/// The attributes written in `text`, the inside of the braces.
pub(super) fn read(text: &str, base: usize, on: On, findings: &mut Findings) -> Attributes {
    let mut attributes = Attributes::default();
    let mut seen = std::collections::BTreeSet::new();
    for pair in pairs(text, base, findings) {
        let known = if on == On::Script { SCRIPT_KEYS } else { ACTION_KEYS };
        let key = pair.key.value.as_str();
        if !known.contains(&key) {
            let message = if SCRIPT_KEYS.contains(&key) {
                format!("attribute `{key}` is for scripts, not for actions")
            } else {
                format!("unknown attribute `{key}`")
            };
            findings.push(
                Diagnostic::error("unknown-attribute", message, pair.key.span)
                    .suggest(key, known.iter().copied()),
            );
        } else if !seen.insert(key.to_owned()) {
            findings.push(Diagnostic::error(
                "bad-attribute",
                format!("attribute `{key}` is written twice"),
                pair.key.span,
            ));
        } else if let Err((message, help)) = set(&mut attributes, &pair) {
            let span = pair.value.as_ref().map_or(pair.key.span, |value| value.span);
            findings.push(Diagnostic::error("bad-attribute", message, span).help(help));
        }
    }
    attributes
}

/// Sets one attribute; on a bad value, what is wrong and what to write.
fn set(attributes: &mut Attributes, pair: &Pair) -> Result<(), (String, String)> {
    let key = pair.key.value.as_str();
    let needs = |what: &str| (format!("attribute `{key}` needs a value"), format!("write {what}"));
    let bare = pair.value.as_ref().map(|value| value.value.as_str());
    let text = |what: &str| match bare {
        Some(value) if !value.trim().is_empty() => Ok(value),
        _ => Err(needs(what)),
    };
    let wrong =
        |value: &str, what: &str| (format!("`{value}` is not a value of `{key}`"), format!("write {what}"));
    match key {
        "id" => {
            let value = text("id=build")?;
            if !is_name(value) {
                return Err(wrong(value, "letters, digits, `-`, `_` and `.`, such as id=build"));
            }
            let span = pair.value.as_ref().map_or(pair.key.span, |value| value.span);
            attributes.id = Some(Spanned { value: value.to_owned(), span });
        }
        "retry" => {
            let value = text("retry=2")?;
            attributes.retry = value
                .parse()
                .ok()
                .filter(|count| *count <= MOST_RETRIES)
                .ok_or_else(|| wrong(value, "a whole number up to 1000, such as retry=2"))?;
        }
        "timeout" => {
            let value = text("timeout=10m")?;
            let timeout =
                Duration::parse(value).map_err(|_| wrong(value, "a duration, such as timeout=10m"))?;
            attributes.timeout = Some(timeout);
        }
        "env" => {
            for part in text("env=\"NAME=value,OTHER=value\"")?.split(',') {
                let (name, value) = part
                    .split_once('=')
                    .ok_or_else(|| wrong(part, "NAME=value pairs separated by commas"))?;
                let name = name.trim();
                if !is_variable(name) {
                    return Err(wrong(name, "a name of letters, digits and `_`"));
                }
                attributes.env.insert(name.to_owned(), value.to_owned());
            }
        }
        "secrets" => {
            for name in
                text("secrets=\"TOKEN\"")?.split([',', ' ']).map(str::trim).filter(|name| !name.is_empty())
            {
                if !is_variable(name) {
                    return Err(wrong(name, "names of letters, digits and `_`, separated by commas"));
                }
                attributes.secrets.push(name.to_owned());
            }
        }
        "in-doubt" => {
            let value = text("in-doubt=ask")?;
            attributes.in_doubt = Some(match value {
                "probe" => InDoubt::Probe,
                "rerun" => InDoubt::Rerun,
                "ask" => InDoubt::Ask,
                _ => return Err(wrong(value, "in-doubt=probe, in-doubt=rerun or in-doubt=ask")),
            });
        }
        "probe" => attributes.probe = Some(text("probe=\"test -f built\"")?.to_owned()),
        "undo" => attributes.undo = Some(text("undo=\"rm built\"")?.to_owned()),
        "effects" => match text("effects=none")? {
            "none" => attributes.read_only = true,
            value => return Err(wrong(value, "effects=none, or leave it out")),
        },
        "optional" => {
            attributes.optional = boolean(bare).ok_or_else(|| wrong(bare.unwrap_or(""), "`optional`"))?
        }
        "run" => {
            attributes.skip =
                !boolean(bare).ok_or_else(|| wrong(bare.unwrap_or(""), "run=false or run=true"))?;
        }
        _ => {}
    }
    Ok(())
}

fn boolean(value: Option<&str>) -> Option<bool> {
    match value {
        None | Some("true") => Some(true),
        Some("false") => Some(false),
        Some(_) => None,
    }
}

/// Whether `name` can name a step, a script, a runbook or an input.
pub(super) fn is_name(name: &str) -> bool {
    name.starts_with(char::is_alphanumeric)
        && name.chars().all(|character| character.is_alphanumeric() || matches!(character, '-' | '_' | '.'))
}

/// Whether `name` can name an environment variable.
pub(super) fn is_variable(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|character| character.is_ascii_alphanumeric() || character == '_')
}
