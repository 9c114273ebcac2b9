//! Words, texts and signs of source code: as much of a language as finding a stated version needs.

use crate::diagnostic::Span;

/// What sets a language's comments and texts apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Language {
    /// What begins a comment that goes to the end of the line.
    line_comment: &'static str,
    /// What begins and ends a longer one.
    block_comment: Option<(&'static str, &'static str)>,
    /// What begins and ends a text, the longest first; whether it may go over lines; whether `\` escapes in it.
    quotes: &'static [(&'static str, bool, bool)],
    /// What begins a value inside of a text in double quotes.
    interpolation: &'static str,
    /// Letters before a quote that belong to the text.
    prefixes: bool,
}

pub(super) const PYTHON: Language = Language {
    line_comment: "#",
    block_comment: None,
    quotes: &[("\"\"\"", true, true), ("'''", true, true), ("\"", false, true), ("'", false, true)],
    interpolation: "",
    prefixes: true,
};
pub(super) const RUBY: Language = Language {
    line_comment: "#",
    block_comment: Some(("=begin", "\n=end")),
    quotes: &[("\"", false, true), ("'", false, true)],
    interpolation: "#{",
    prefixes: false,
};
pub(super) const ELIXIR: Language = Language {
    line_comment: "#",
    block_comment: None,
    quotes: &[("\"\"\"", true, true), ("'''", true, true), ("\"", true, true), ("'", true, true)],
    interpolation: "#{",
    prefixes: false,
};
pub(super) const GO: Language = Language {
    line_comment: "//",
    block_comment: Some(("/*", "*/")),
    quotes: &[("\"", false, true), ("`", true, false), ("'", false, true)],
    interpolation: "",
    prefixes: false,
};
pub(super) const GRADLE: Language = Language {
    line_comment: "//",
    block_comment: Some(("/*", "*/")),
    quotes: &[("\"\"\"", true, true), ("'''", true, true), ("\"", false, true), ("'", false, true)],
    interpolation: "$",
    prefixes: false,
};

/// A word, a text or a sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind<'a> {
    /// A name or a number.
    Word(&'a str),
    /// A text: its bytes without quotes, and whether they are its value as it stands.
    Text(Span, bool),
    /// Any other character.
    Sign(char),
}

/// A token and where it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token<'a> {
    /// What it is.
    pub kind: Kind<'a>,
    /// Its first byte.
    pub start: usize,
    /// How many brackets are open around it.
    pub depth: usize,
    /// It is the first of its line.
    pub first: bool,
    /// Nothing stands before it on its line, not even a blank.
    pub flush: bool,
}

impl Token<'_> {
    /// Whether it is this word.
    pub fn is(&self, word: &str) -> bool {
        self.kind == Kind::Word(word)
    }

    /// Whether it is this sign.
    pub fn sign(&self, sign: char) -> bool {
        self.kind == Kind::Sign(sign)
    }
}

/// The tokens of `source`, comments left out.
pub(super) fn tokens(source: &str, language: Language) -> Vec<Token<'_>> {
    let mut found: Vec<Token<'_>> = Vec::new();
    let (mut at, mut depth) = (0, 0usize);
    let (mut first, mut line) = (true, 0);
    while let Some(character) = source[at..].chars().next() {
        let rest = &source[at..];
        if character == '\n' {
            at += 1;
            (first, line) = (true, at);
            continue;
        }
        if character.is_whitespace() {
            at += character.len_utf8();
            continue;
        }
        if rest.starts_with(language.line_comment) {
            at += rest.find('\n').unwrap_or(rest.len());
            continue;
        }
        if let Some((open, close)) = language.block_comment
            && rest.starts_with(open)
            && (open.starts_with('/') || at == line)
        {
            let length =
                rest[open.len()..].find(close).map_or(rest.len(), |end| open.len() + end + close.len());
            at += length;
            continue;
        }
        let mut token = Token { kind: Kind::Sign(character), start: at, depth, first, flush: at == line };
        first = false;
        if let Some((quote, lines, escapes)) =
            language.quotes.iter().find(|(quote, ..)| rest.starts_with(quote))
        {
            let (span, mut plain, end) = text(source, at, quote, *lines, *escapes);
            if !language.interpolation.is_empty() && quote.starts_with('"') {
                plain &= !source[span.start..span.end].contains(language.interpolation);
            }
            if language.prefixes
                && let Some(Token { kind: Kind::Word(prefix), start, first, flush, .. }) =
                    found.last().copied()
                && start + prefix.len() == at
                && prefix.len() <= 2
                && prefix.bytes().all(|byte| b"rRuUbBfF".contains(&byte))
            {
                plain &= !prefix.contains(['f', 'F', 'b', 'B']);
                token = Token { start, first, flush, ..token };
                found.pop();
            }
            token.kind = Kind::Text(span, plain);
            found.push(token);
            at = end;
            continue;
        }
        let is_word = |character: char| character.is_alphanumeric() || character == '_';
        if is_word(character) {
            let end = rest.find(|end: char| !is_word(end)).unwrap_or(rest.len());
            token.kind = Kind::Word(&rest[..end]);
            found.push(token);
            at += end;
            continue;
        }
        match character {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => {
                depth = depth.saturating_sub(1);
                token.depth = depth;
            }
            _ => {}
        }
        found.push(token);
        at += character.len_utf8();
    }
    found
}

/// A text's bytes, whether they are plain, and where it is over.
fn text(source: &str, start: usize, quote: &str, lines: bool, escapes: bool) -> (Span, bool, usize) {
    let begin = start + quote.len();
    let bytes = source.as_bytes();
    let mut at = begin;
    let mut plain = true;
    while at < bytes.len() {
        if escapes && bytes[at] == b'\\' {
            plain = false;
            at += 2;
            continue;
        }
        if !lines && bytes[at] == b'\n' {
            // It does not end: what follows is read as if it did.
            return (Span::new(begin, at), false, at);
        }
        if bytes[at] == quote.as_bytes()[0] && source[at..].starts_with(quote) {
            return (Span::new(begin, at), plain, at + quote.len());
        }
        at += 1;
    }
    (Span::new(begin, source.len().max(begin)), false, source.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn comments_are_left_out_and_texts_are_whole() {
        let kinds = |source: &'static str, language| {
            tokens(source, language).into_iter().map(|token| token.kind).collect::<Vec<_>>()
        };
        assert_eq!(
            kinds("a = r'x' # 'no'\n", PYTHON),
            [Kind::Word("a"), Kind::Sign('='), Kind::Text(Span::new(6, 7), true)]
        );
        assert_eq!(kinds("f'{x}'", PYTHON), [Kind::Text(Span::new(2, 5), false)]);
        assert_eq!(kinds("/* 'a' */ `b\\` // c", GO), [Kind::Text(Span::new(11, 13), true)]);
        assert_eq!(kinds("=begin\nVERSION\n=end\n\"#{x}\"", RUBY), [Kind::Text(Span::new(21, 25), false)]);
        assert_eq!(kinds("\"open\nx", PYTHON), [Kind::Text(Span::new(1, 5), false), Kind::Word("x")]);
        let depths: Vec<_> = tokens("a(b[c])d", GO).into_iter().map(|token| token.depth).collect();
        assert_eq!(depths, [0, 0, 1, 1, 2, 1, 0, 0]);
    }

    proptest! {
        #[test]
        fn any_text_is_read(source in "(?s)[\\\\\"'`#/*=begin\n{}()é ]{0,60}") {
            for language in [PYTHON, RUBY, ELIXIR, GO, GRADLE] {
                for token in tokens(&source, language) {
                    if let Kind::Text(span, _) = token.kind {
                        prop_assert!(source.get(span.start..span.end).is_some());
                    }
                }
            }
        }
    }
}
