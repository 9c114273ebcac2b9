//! YAML into a tree whose every node knows its place, under a budget that refuses bombs.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, options::MergeKeyPolicy};

use crate::diagnostic::Span;

/// A node and its bytes in the YAML text. For a collection, where it starts.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub value: Value,
    pub span: Span,
}

/// The value of a node.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Null,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The text of any scalar, as written in `yaml` where it is not a string.
    pub fn scalar(&self, yaml: &str) -> Option<String> {
        match &self.value {
            Value::Text(text) => Some(text.clone()),
            Value::Boolean(value) => Some(value.to_string()),
            Value::Integer(value) => Some(value.to_string()),
            Value::Float(value) => {
                let written = yaml.get(self.span.start..self.span.end).map(str::trim);
                Some(written.filter(|text| !text.is_empty()).map_or(value.to_string(), str::to_owned))
            }
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// What it is, for a message.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Boolean(_) => "a boolean",
            Value::Integer(_) | Value::Float(_) => "a number",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    /// The same as JSON, without places.
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Boolean(value) => (*value).into(),
            Value::Integer(value) => (*value).into(),
            Value::Float(value) => (*value).into(),
            Value::Text(text) => text.as_str().into(),
            Value::List(nodes) => nodes.iter().map(Self::to_json).collect(),
            Value::Map(pairs) => serde_json::Value::Object(
                pairs.iter().map(|(key, value)| (key.key_text(), value.to_json())).collect(),
            ),
        }
    }

    fn key_text(&self) -> String {
        self.scalar("").unwrap_or_default()
    }
}

/// Why a YAML text cannot be read, and where.
#[derive(Debug)]
pub(super) struct YamlError {
    pub message: String,
    pub span: Option<Span>,
}

/// Reads one YAML document; an empty one is [`Value::Null`].
pub(super) fn read(yaml: &str) -> Result<Node, YamlError> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 32,
            flow_nesting_limit: 32,
            max_nodes: 20_000,
            max_events: 60_000,
            max_anchors: 0,
            max_aliases: 0,
            max_documents: 1,
            max_total_scalar_bytes: 1 << 20,
        },
        merge_keys: MergeKeyPolicy::Error,
        strict_booleans: true,
        with_snippet: false,
    };
    if yaml.trim().is_empty() {
        return Ok(Node { value: Value::Null, span: Span::default() });
    }
    serde_saphyr::from_str_with_options(yaml, options).map_err(|error| YamlError {
        span: error.location().map(|location| visible(yaml, span_of(yaml, &location))),
        message: message_of(&error),
    })
}

/// The error's sentence, without the place the caller shows itself.
fn message_of(error: &serde_saphyr::Error) -> String {
    let text = error.to_string();
    if text.contains("anchor") || text.contains("alias") || text.contains("Anchor") || text.contains("Alias")
    {
        return "anchors and aliases are not read here: write the value out".to_owned();
    }
    let first = text.lines().next().unwrap_or_default();
    let sentence = match first.find(" at line ") {
        Some(at) => &first[..at],
        None => first,
    };
    crate::text::sanitize_line(sentence.trim_end_matches([':', '.']))
}

fn span_of(yaml: &str, location: &Location) -> Span {
    let span = location.span();
    let (start, length) = match (span.byte_offset(), span.byte_len()) {
        (Some(start), Some(length)) => (start, length),
        _ => return line_column_span(yaml, location),
    };
    let clamp = |offset: u64| floor(yaml, usize::try_from(offset).unwrap_or(yaml.len()));
    let start_byte = clamp(start);
    Span::new(start_byte, clamp(start.saturating_add(length)).max(start_byte))
}

/// An empty place widened to the word it stands before, or else to the last word before it.
fn visible(yaml: &str, span: Span) -> Span {
    if span.end > span.start {
        return span;
    }
    let rest = yaml.get(span.start..).unwrap_or_default();
    let ends = |character: char| character.is_whitespace() || matches!(character, ',' | ']' | '}');
    let length = rest.find(ends).unwrap_or(rest.len());
    if length > 0 {
        return Span::new(span.start, span.start + length);
    }
    let before = yaml.get(..span.start).unwrap_or_default().trim_end();
    let start = before
        .char_indices()
        .rev()
        .find(|(_, character)| character.is_whitespace())
        .map_or(0, |(at, space)| at + space.len_utf8());

    Span::new(start, before.len())
}

fn line_column_span(yaml: &str, location: &Location) -> Span {
    let line = usize::try_from(location.line()).unwrap_or(1).saturating_sub(1);
    let column = usize::try_from(location.column()).unwrap_or(1).saturating_sub(1);
    let start: usize = yaml.split_inclusive('\n').take(line).map(str::len).sum();
    let rest = yaml.get(start..).unwrap_or_default();
    let within = rest.char_indices().nth(column).map_or(rest.len(), |(at, _)| at);
    Span::new(start + within, start + within)
}

fn floor(text: &str, mut offset: usize) -> usize {
    offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = serde_saphyr::Spanned::<Value>::deserialize(deserializer)?;
        let span = spanned.referenced.span();
        let start = usize::try_from(span.byte_offset().unwrap_or(0)).unwrap_or(0);
        let length = usize::try_from(span.byte_len().unwrap_or(0)).unwrap_or(0);
        Ok(Self { value: spanned.value, span: Span::new(start, start.saturating_add(length)) })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a YAML value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Boolean(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or_else(|_| Value::Text(value.to_string()), Value::Integer))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Value, E> {
        Ok(Value::Text(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Value, E> {
        Ok(Value::Text(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = access.next_element()? {
            nodes.push(node);
        }
        Ok(Value::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = access.next_entry()? {
            pairs.push(pair);
        }
        Ok(Value::Map(pairs))
    }
}
