//! A shell script taken apart into words and operators, as far as finding its commands needs.

/// A word or an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// Its text, and whether it is exactly that: nothing in it is expanded.
    Word(String, bool),
    /// `;`, `&`, `|`, a newline and their doubles.
    Separator,
    /// `(`.
    Open,
    /// `)`.
    Close,
}

/// A script taken apart.
pub struct Tokens {
    /// Each with its line, from 1.
    pub tokens: Vec<(Token, usize)>,
    /// Every quote, substitution and here-document is closed.
    pub closed: bool,
}

/// Takes `text` apart.
pub fn tokens(text: &str) -> Tokens {
    let mut lexer = Lexer {
        rest: text.chars().collect(),
        at: 0,
        line: 1,
        tokens: Vec::new(),
        closed: true,
        heredocs: Vec::new(),
    };
    lexer.run();
    Tokens { tokens: lexer.tokens, closed: lexer.closed }
}

struct Lexer {
    rest: Vec<char>,
    at: usize,
    line: usize,
    tokens: Vec<(Token, usize)>,
    closed: bool,
    /// Ends of here-documents that start after this line, and whether tabs before them are ignored.
    heredocs: Vec<(String, bool)>,
}

impl Lexer {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.rest.get(self.at + ahead).copied()
    }

    fn next(&mut self) -> Option<char> {
        let character = self.peek(0)?;
        self.at += 1;
        if character == '\n' {
            self.line += 1;
        }
        Some(character)
    }

    fn run(&mut self) {
        while let Some(character) = self.peek(0) {
            let line = self.line;
            match character {
                '\n' => {
                    self.next();
                    self.tokens.push((Token::Separator, line));
                    self.skip_heredocs();
                }
                ' ' | '\t' | '\r' => drop(self.next()),
                '\\' if self.peek(1) == Some('\n') => {
                    self.next();
                    self.next();
                }
                '#' => {
                    while self.peek(0).is_some_and(|character| character != '\n') {
                        self.next();
                    }
                }
                ';' | '&' | '|' => {
                    self.next();
                    self.tokens.push((Token::Separator, line));
                }
                '(' => {
                    self.next();
                    self.tokens.push((Token::Open, line));
                }
                ')' => {
                    self.next();
                    self.tokens.push((Token::Close, line));
                }
                '<' if self.peek(1) == Some('<') && self.peek(2) != Some('<') => self.heredoc(),
                _ => self.word(),
            }
        }
        if !self.heredocs.is_empty() {
            self.closed = false;
        }
    }

    fn word(&mut self) {
        let line = self.line;
        let mut word = String::new();
        let mut exact = true;
        while let Some(character) = self.peek(0) {
            match character {
                ' ' | '\t' | '\r' | '\n' | ';' | '|' | ')' => break,
                // `2>&1` and `&>file` belong to the word; any other `&` ends it.
                '&' if !word.ends_with(['>', '<']) => break,
                '(' if !word.ends_with(['<', '>', '=']) => break,
                '\'' => {
                    self.next();
                    self.until('\'', false, &mut word);
                }
                '"' => {
                    self.next();
                    exact &= !self.until('"', true, &mut word);
                }
                '`' => {
                    self.next();
                    exact = false;
                    self.until('`', true, &mut String::new());
                }
                '$' => {
                    exact = false;
                    self.dollar();
                }
                '(' => {
                    exact = false;
                    self.next();
                    self.parentheses();
                }
                '\\' => {
                    self.next();
                    if let Some(escaped) = self.next()
                        && escaped != '\n'
                    {
                        word.push(escaped);
                    }
                }
                '*' | '?' | '[' | '~' => {
                    // `[` alone is a command.
                    exact &= character == '[' && word.trim_matches('[').is_empty();
                    word.push(character);
                    self.next();
                }
                _ => {
                    word.push(character);
                    self.next();
                }
            }
        }
        self.tokens.push((Token::Word(word, exact), line));
    }

    /// Reads up to the closing quote; true when something in it is expanded.
    fn until(&mut self, quote: char, expands: bool, word: &mut String) -> bool {
        let mut expanded = false;
        loop {
            match self.peek(0) {
                None => {
                    self.closed = false;
                    return expanded;
                }
                Some(character) if character == quote => {
                    self.next();
                    return expanded;
                }
                Some('\\') if expands => {
                    self.next();
                    word.extend(self.next());
                }
                Some('$') if expands && quote == '"' => {
                    expanded = true;
                    self.dollar();
                }
                Some('`') if expands && quote == '"' => {
                    expanded = true;
                    self.next();
                    self.until('`', true, &mut String::new());
                }
                Some(character) => {
                    word.push(character);
                    self.next();
                }
            }
        }
    }

    fn dollar(&mut self) {
        self.next();
        match self.peek(0) {
            Some('(') => {
                self.next();
                self.parentheses();
            }
            Some('{') => {
                self.next();
                self.nested('{', '}');
            }
            Some('\'') => {
                self.next();
                self.until('\'', true, &mut String::new());
            }
            _ => {}
        }
    }

    fn parentheses(&mut self) {
        self.nested('(', ')');
    }

    /// Passes over everything up to the closing bracket, quotes respected.
    fn nested(&mut self, open: char, close: char) {
        let mut depth = 1usize;
        while let Some(character) = self.peek(0) {
            match character {
                '\'' if open == '(' => {
                    self.next();
                    self.until('\'', false, &mut String::new());
                }
                '"' => {
                    self.next();
                    self.until('"', false, &mut String::new());
                }
                '\\' => {
                    self.next();
                    self.next();
                }
                _ => {
                    self.next();
                    if character == open {
                        depth += 1;
                    } else if character == close {
                        depth -= 1;
                        if depth == 0 {
                            return;
                        }
                    }
                }
            }
        }
        self.closed = false;
    }

    fn heredoc(&mut self) {
        self.next();
        self.next();
        let tabs = self.peek(0) == Some('-');
        if tabs {
            self.next();
        }
        while self.peek(0).is_some_and(|character| matches!(character, ' ' | '\t')) {
            self.next();
        }
        let before = self.tokens.len();
        self.word();
        // The word that ends it is no word of the command.
        if let Some((Token::Word(end, _), _)) = self.tokens.get(before).cloned() {
            self.tokens.truncate(before);
            self.heredocs.push((end, tabs));
        }
    }

    fn skip_heredocs(&mut self) {
        for (end, tabs) in std::mem::take(&mut self.heredocs) {
            loop {
                if self.peek(0).is_none() {
                    self.closed = false;
                    return;
                }
                let mut line = String::new();
                while let Some(character) = self.next() {
                    if character == '\n' {
                        break;
                    }
                    line.push(character);
                }
                let line = if tabs { line.trim_start_matches('\t') } else { line.as_str() };
                if line == end {
                    break;
                }
            }
        }
    }
}
