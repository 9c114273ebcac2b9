//! Hides the values of secrets in what is shown and kept. Best effort, and said so: a secret that a program
//! transforms in a way not listed here is not recognised.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::Range;

use aho_corasick::AhoCorasick;

/// What stands in a secret's place.
pub const MASK: &str = "***";

/// The fewest characters a secret may have: shorter ones occur by chance, and hiding them would tell what they are.
pub const SHORTEST: usize = 8;

/// Why the values of secrets cannot be hidden.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MaskError {
    /// Values that are too short to hide.
    #[error("{} shorter than {SHORTEST} characters and cannot be hidden in logs; use a longer value", listed(.0))]
    TooShort(Vec<String>),
    /// More or longer values than can be looked for.
    #[error("the secrets are too many or too long to be hidden in logs: {0}")]
    TooLarge(String),
}

/// Replaces secrets by `***`: as they are, line by line, and in base64, hexadecimal, URL and JSON notation.
#[derive(Debug, Default)]
pub struct Masker {
    automaton: Option<AhoCorasick>,
    longest: usize,
}

impl Masker {
    /// Hides the values of `secrets`, given by name.
    ///
    /// # Errors
    /// When a value is too short, naming all such secrets.
    pub fn new(secrets: &BTreeMap<String, String>) -> Result<Self, MaskError> {
        let short: Vec<String> = secrets
            .iter()
            .filter(|(_, value)| value.trim().chars().count() < SHORTEST)
            .map(|(name, _)| name.clone())
            .collect();
        if !short.is_empty() {
            return Err(MaskError::TooShort(short));
        }
        let mut patterns = BTreeSet::new();
        for value in secrets.values() {
            add_forms(value, &mut patterns);
            // A file's secret often ends in a newline that its user trims.
            add_forms(value.trim(), &mut patterns);
            // Logs are masked line by line, so the lines must be known by themselves.
            for line in value.lines().map(str::trim).filter(|line| line.chars().count() >= SHORTEST) {
                add_forms(line, &mut patterns);
            }
        }
        if patterns.is_empty() {
            return Ok(Self::default());
        }
        let longest = patterns.iter().map(String::len).max().unwrap_or_default();
        let automaton =
            AhoCorasick::new(&patterns).map_err(|error| MaskError::TooLarge(error.to_string()))?;
        Ok(Self { automaton: Some(automaton), longest })
    }

    /// The text without the secrets it knows.
    pub fn mask(&self, text: &str) -> String {
        let spans = self.spans(text.as_bytes());
        if spans.is_empty() {
            return text.to_owned();
        }
        let mut masked = String::with_capacity(text.len());
        let mut from = 0;
        for span in spans {
            masked.push_str(text.get(from..span.start).unwrap_or_default());
            masked.push_str(MASK);
            from = span.end;
        }
        masked.push_str(text.get(from..).unwrap_or_default());
        masked
    }

    /// Where text that is still coming in can be cut without cutting a secret or a character: everything before the
    /// place can be masked and shown now. 0 when nothing can.
    pub fn safe_cut(&self, bytes: &[u8]) -> usize {
        // A secret that starts before this place has ended by the end of `bytes`.
        let cut =
            if self.longest == 0 { bytes.len() } else { (bytes.len() + 1).saturating_sub(self.longest) };
        if cut == 0 {
            return 0;
        }
        match self.spans(bytes).into_iter().find(|span| span.start < cut && cut < span.end) {
            // Not behind it: the start of another one may stand inside.
            Some(span) if span.start > 0 => span.start,
            // Secrets upon secrets from end to end: go on, rather than hold them for ever.
            Some(span) => span.end,
            None => character_start(bytes, cut),
        }
    }

    /// The length in bytes of the longest text that is looked for.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// Where secrets stand, merged where they overlap.
    fn spans(&self, bytes: &[u8]) -> Vec<Range<usize>> {
        let Some(automaton) = &self.automaton else { return Vec::new() };
        let mut found: Vec<Range<usize>> =
            automaton.find_overlapping_iter(bytes).map(|found| found.range()).collect();
        found.sort_by_key(|span| (span.start, span.end));
        let mut merged: Vec<Range<usize>> = Vec::new();
        for span in found {
            match merged.last_mut() {
                Some(last) if span.start < last.end => last.end = last.end.max(span.end),
                _ => merged.push(span),
            }
        }
        merged
    }
}

/// The last place up to `cut` where no character of `bytes` is split, nor one whose rest has not come.
fn character_start(bytes: &[u8], cut: usize) -> usize {
    let lead = (cut.saturating_sub(3)..cut).rev().find(|at| bytes.get(*at).is_some_and(|byte| *byte >= 0xc0));
    let Some(lead) = lead else { return cut };
    let length = match bytes.get(lead) {
        Some(0xf0..) => 4,
        Some(0xe0..) => 3,
        _ => 2,
    };
    if lead + length > cut { lead } else { cut }
}

fn listed(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.as_slice() {
        [one] => format!("the value of the secret {one} is"),
        more => format!("the values of the secrets {} are", more.join(", ")),
    }
}

/// The ways in which programs write `value`.
fn add_forms(value: &str, forms: &mut BTreeSet<String>) {
    let mut add = |form: String| {
        if form.chars().count() >= SHORTEST {
            forms.insert(form);
        }
    };
    add(value.to_owned());
    let hexadecimal = hex::encode(value);
    add(hexadecimal.to_uppercase());
    add(hexadecimal);
    for lower in [false, true] {
        let escaped = percent(value, lower);
        add(escaped.replace("%20", "+"));
        add(escaped);
    }
    if let Ok(quoted) = serde_json::to_string(value) {
        let inner = quoted.trim_start_matches('"').strip_suffix('"').unwrap_or_default().to_owned();
        // The quotes of a value that starts with one are escaped, so trimming took only ours.
        add(inner.replace('/', "\\/"));
        add(ascii(&inner));
        add(inner);
    }
    for alphabet in [STANDARD, URL_SAFE] {
        for offset in 0..3 {
            let (inner, whole) = base64(value.as_bytes(), offset, alphabet);
            add(inner);
            add(whole);
        }
    }
}

/// Percent-encoding of everything but the unreserved characters of RFC 3986.
fn percent(value: &str, lower: bool) -> String {
    value.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte.into()),
            // Writing to a string cannot fail.
            _ if lower => drop(write!(out, "%{byte:02x}")),
            _ => drop(write!(out, "%{byte:02X}")),
        }
        out
    })
}

/// JSON text in ASCII only, as many writers make it.
fn ascii(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() {
            out.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out
}

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// `bytes` in base64 as they appear `offset` bytes into a longer text: the characters that they alone decide, and
/// the same with the last one that what follows would share, as it is at the end of a text.
fn base64(bytes: &[u8], offset: usize, alphabet: &[u8; 64]) -> (String, String) {
    let bits =
        |index: usize| index.checked_sub(offset).and_then(|index| bytes.get(index)).copied().unwrap_or(0);
    let length = offset + bytes.len();
    let character = |position: usize| {
        let bit = position * 6;
        let pair = u16::from(bits(bit / 8)) << 8 | u16::from(bits(bit / 8 + 1));
        let value = (pair >> (10 - bit % 8)) & 0x3f;
        char::from(alphabet[usize::from(value)])
    };
    let first = (offset * 8).div_ceil(6);
    let inner = (first..length * 8 / 6).map(character).collect();
    let whole = (first..(length * 8).div_ceil(6)).map(character).collect();
    (inner, whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn masker(values: &[&str]) -> Masker {
        let secrets = values.iter().enumerate().map(|(at, value)| (format!("S{at}"), (*value).to_owned()));
        Masker::new(&secrets.collect()).unwrap()
    }

    #[test]
    fn secrets_are_hidden_however_they_are_written() {
        let check = |secret: &str, text: &str, expect: &str| {
            assert_eq!(masker(&[secret]).mask(text), expect, "{secret:?} in {text:?}");
        };
        check("hunter2hunter2", "pass=hunter2hunter2;", "pass=***;");
        check("hunter2hunter2", "hunter2hunter", "hunter2hunter");
        check("hunter2hunter2", "68756e7465723268756e74657232", "***");
        check("hunter2hunter2", "68756E7465723268756E74657232", "***");
        check("p@ss word/1", "https://u:p%40ss%20word%2F1@host", "https://u:***@host");
        check("p@ss word/1", "q=p%40ss+word%2f1&x", "q=***&x");
        check("quo\"te\\back", r#"{"a":"quo\"te\\back"}"#, r#"{"a":"***"}"#);
        check("geh\u{e9}im-wort", r#"{"a":"geh\u00e9im-wort"}"#, r#"{"a":"***"}"#);
        check("line-one-xx\nline-two-xx\n", "> line-two-xx <", "> *** <");
        check("with-newline\n", "with-newline.", "***.");
        // base64 of "user:hunter2hunter2", "a:...", "ab:..."
        check("hunter2hunter2", "dXNlcjpodW50ZXIyaHVudGVyMg==", "dXNlcjp***==");
        check("hunter2hunter2", "aHVudGVyMmh1bnRlcjI=", "***=");
        check("hunter2hunter2", "YTpodW50ZXIyaHVudGVyMg==", "YTp***==");
        check("hunter2hunter2", "OmFodW50ZXIyaHVudGVyMgo=", "OmF***o=");
    }

    #[test]
    fn overlapping_secrets_are_hidden_together() {
        assert_eq!(masker(&["abcdefgh", "efghijkl"]).mask("xabcdefghijklx"), "x***x");
    }

    #[test]
    fn short_secrets_are_refused_by_name() {
        let secrets = BTreeMap::from([("A".into(), "short".into()), ("B".into(), "long enough".into())]);
        let error = Masker::new(&secrets).unwrap_err();
        assert_eq!(error, MaskError::TooShort(vec!["A".into()]));
        assert!(error.to_string().contains("`A`") && !error.to_string().contains("short`"));
        assert_eq!(Masker::default().mask("anything"), "anything");
    }

    proptest! {
        #[test]
        fn base64_is_found_at_any_place(before in proptest::collection::vec(any::<u8>(), 0..7), secret in "[ -~]{8,40}", after in proptest::collection::vec(any::<u8>(), 0..7)) {
            prop_assume!(secret.trim().len() >= 8);
            let bytes = [before.as_slice(), secret.as_bytes(), after.as_slice()].concat();
            for alphabet in [STANDARD, URL_SAFE] {
                let text = base64(&bytes, 0, alphabet).1;
                prop_assert!(masker(&[&secret]).mask(&text).contains(MASK), "{text}");
            }
        }

        #[test]
        fn a_cut_never_leaks(chunks in proptest::collection::vec("[a-c\u{e9}]{0,6}|(secretvalue)", 0..12)) {
            let masker = masker(&["secretvalue"]);
            let text: String = chunks.concat();
            let (mut shown, mut held) = (String::new(), Vec::new());
            for byte in text.bytes() {
                held.push(byte);
                let rest = held.split_off(masker.safe_cut(&held));
                shown.push_str(&masker.mask(std::str::from_utf8(&held).unwrap()));
                held = rest;
            }
            shown.push_str(&masker.mask(std::str::from_utf8(&held).unwrap()));
            prop_assert_eq!(shown, masker.mask(&text));
        }

        #[test]
        fn without_secrets_a_cut_keeps_characters_whole(text in "\\PC{0,20}", at in 0usize..60) {
            let bytes = &text.as_bytes()[..at.min(text.len())];
            let cut = Masker::default().safe_cut(bytes);
            prop_assert!(text.is_char_boundary(cut) && bytes.len() - cut < 4);
        }
    }
}
