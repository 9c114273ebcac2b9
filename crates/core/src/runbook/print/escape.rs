//! Texts written so that Markdown and YAML read them as exactly themselves.

use serde_json::Value;

/// A JSON value as YAML: JSON is YAML, but its plain words read better without quotes.
pub(super) fn yaml_value(value: &Value) -> String {
    match value {
        Value::String(text) => yaml_text(text),
        Value::Array(values) => {
            let values: Vec<String> = values.iter().map(yaml_value).collect();
            format!("[{}]", values.join(", "))
        }
        Value::Object(pairs) if pairs.is_empty() => "{}".to_owned(),
        Value::Object(pairs) => {
            let pairs: Vec<String> = pairs
                .iter()
                .map(|(name, value)| format!("{}: {}", yaml_text(name), yaml_value(value)))
                .collect();
            format!("{{ {} }}", pairs.join(", "))
        }
        other => other.to_string(),
    }
}

/// A text as a plain YAML scalar where nothing could read it as anything else, quoted otherwise.
pub(super) fn yaml_text(text: &str) -> String {
    const WORDS: &[&str] = &["true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf"];
    let plain = text.starts_with(|first: char| first.is_alphabetic())
        && text.ends_with(|last: char| last.is_alphanumeric())
        && text
            .chars()
            .all(|character| character.is_alphanumeric() || matches!(character, '-' | '_' | '.' | ' ' | '/'))
        && !WORDS.contains(&text.to_lowercase().as_str());
    if plain { text.to_owned() } else { yaml_quoted(text) }
}

pub(super) fn yaml_quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

/// `text` as a title: what starts or ends a heading's own marks is escaped too.
pub(super) fn escape_title(text: &str) -> String {
    let escaped = escape_where(text, |character| character == '#');
    match escaped.strip_suffix('}').and_then(|inner| inner.rfind('{')) {
        Some(open) => format!("{}\\{}", &escaped[..open], &escaped[open..]),
        None => escaped,
    }
}

/// `text` as inline Markdown that reads as exactly that text.
pub(super) fn escape(text: &str) -> String {
    escape_where(text, |_| false)
}

pub(super) fn escape_where(text: &str, also: impl Fn(char) -> bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    let characters: Vec<char> = text.chars().collect();
    let word = |index: Option<usize>| {
        index.and_then(|index| characters.get(index)).is_some_and(|character| character.is_alphanumeric())
    };
    let leading_digits = characters.iter().take_while(|character| character.is_ascii_digit()).count();
    for (index, character) in characters.iter().enumerate() {
        let special = match character {
            '\\' | '`' | '*' | '[' | ']' | '<' => true,
            '_' => !(word(index.checked_sub(1)) && word(Some(index + 1))),
            '&' => word(Some(index + 1)) || characters.get(index + 1) == Some(&'#'),
            '#' | '>' | '-' | '+' | '=' | '~' | '|' | ':' => index == 0,
            '.' | ')' => leading_digits > 0 && index == leading_digits,
            _ => false,
        };
        if special || also(*character) {
            escaped.push('\\');
        }
        escaped.push(*character);
    }
    escaped
}
