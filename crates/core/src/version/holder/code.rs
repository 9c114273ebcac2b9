//! Holders that are source code: Python, Ruby, Elixir, Go and Gradle.

use super::lexer::{ELIXIR, GO, GRADLE, Kind, Language, PYTHON, RUBY, Token, tokens};
use super::{HolderError, Place, Spelling, line_of};
use crate::diagnostic::Span;
use crate::version::shown;

/// Code that states a version is small; this bounds what reading hostile code takes.
const LARGEST_CODE: usize = 2 * 1024 * 1024;

/// More places than this are not compared: two are too many already.
const MOST: usize = 10;

/// `__version__ = "1.2.3"` of a Python module, else its `VERSION` or `version`.
pub(super) fn python_module(source: &str) -> Result<Vec<Place>, HolderError> {
    let tokens = scan(source, PYTHON)?;
    for name in ["__version__", "VERSION", "version", "__VERSION__"] {
        if let Some(value) = one(source, name, assignments(&tokens, name))? {
            return Ok(vec![place(source, value, Spelling::Pep440)?]);
        }
    }
    Err(missing("no `__version__` is assigned at the module's top", "add `__version__ = \"0.1.0\"`"))
}

/// `setup(version="1.2.3")`, or the variable that it names.
pub(super) fn setup_py(source: &str) -> Result<Vec<Place>, HolderError> {
    let tokens = scan(source, PYTHON)?;
    let calls = tokens.windows(2).enumerate().filter(|(at, pair)| {
        let defined = at.checked_sub(1).is_some_and(|before| tokens[before].is("def"));
        pair[0].is("setup") && pair[1].sign('(') && !defined
    });
    let mut values = Vec::new();
    // Calls inside of calls would each be searched to their end.
    for (at, pair) in calls.take(MOST) {
        let inside = pair[1].depth + 1;
        let body = tokens[at + 2..].iter().take_while(|token| token.depth >= inside);
        let body: Vec<Token<'_>> = body.copied().collect();
        for at in 0..body.len() {
            let named = body[at].is("version") && body[at].depth == inside;
            let begins = at == 0 || body[at - 1].sign(',');
            if named && begins && body.get(at + 1).is_some_and(|next| next.sign('=')) {
                let ends = body.get(at + 3).is_none_or(|next| next.sign(','));
                values.extend(body.get(at + 2).map(|value| Value { token: *value, whole: ends }));
            }
        }
    }
    let Some(value) = one(source, "version", values)? else {
        return Err(missing("no `setup(...)` here has a `version`", "add `version=\"0.1.0\"`"));
    };
    let value = match value.token.kind {
        Kind::Word(name) if value.whole => one(source, name, assignments(&tokens, name))?
            .ok_or_else(|| dynamic(source, value.token, "name the file that states it as the holder"))?,
        _ => value,
    };
    if !matches!(value.token.kind, Kind::Text(..)) {
        return Err(dynamic(source, value.token, "name the file that states it as the holder"));
    }
    Ok(vec![place(source, value, Spelling::Pep440)?])
}

/// `VERSION = "1.2.3"` of a version.rb, else the `STRING` of its module `Version`.
pub(super) fn ruby(source: &str) -> Result<Vec<Place>, HolderError> {
    let tokens = scan(source, RUBY)?;
    for name in ["VERSION", "STRING"] {
        let values = after(&tokens, |at| tokens[at].is(name) && tokens[at].first, &['=']);
        if let Some(value) = one(source, name, values)? {
            return Ok(vec![place(source, value, Spelling::Gem)?]);
        }
    }
    Err(missing("no `VERSION` is assigned", "add `VERSION = \"0.1.0\"`"))
}

/// `spec.version = "1.2.3"` of a gemspec.
pub(super) fn gemspec(source: &str) -> Result<Vec<Place>, HolderError> {
    let tokens = scan(source, RUBY)?;
    let is_version = |at: usize| tokens[at].is("version") && at > 0 && tokens[at - 1].sign('.');
    let value = one(source, "version", after(&tokens, is_version, &['=']))?
        .ok_or_else(|| missing("the specification has no `version`", "add `spec.version = \"0.1.0\"`"))?;
    let value = match value.token.kind {
        Kind::Word(name) if value.whole => {
            let named = |at: usize| tokens[at].is(name) && tokens[at].first;
            one(source, name, after(&tokens, named, &['=']))?.unwrap_or(value)
        }
        _ => value,
    };
    if !matches!(value.token.kind, Kind::Text(..)) {
        return Err(dynamic(source, value.token, "name the version.rb that states it as the holder"));
    }
    Ok(vec![place(source, value, Spelling::Gem)?])
}

/// `version:` of a mix.exs' project, or the attribute that it names.
pub(super) fn mix(source: &str) -> Result<Vec<Place>, HolderError> {
    let tokens = scan(source, ELIXIR)?;
    let none = || missing("`def project` has no `version:`", "add `version: \"0.1.0\"`");
    let begin =
        tokens.windows(2).position(|pair| pair[0].is("def") && pair[1].is("project")).ok_or_else(none)?;
    let length = tokens[begin + 2..]
        .iter()
        .position(|token| token.first && (token.is("def") || token.is("defp")))
        .unwrap_or(tokens.len() - begin - 2);
    let project = &tokens[begin + 2..begin + 2 + length];
    let list = project.iter().find(|token| token.sign('[')).map_or(0, |token| token.depth + 1);
    let stated = |at: usize| project[at].is("version") && project[at].depth == list;
    let mut values = Vec::new();
    for at in 0..project.len() {
        if values.len() > MOST {
            break;
        }
        if !stated(at) || !project.get(at + 1).is_some_and(|next| next.sign(':')) {
            continue;
        }
        let Some(value) = project.get(at + 2) else { continue };
        if value.sign('@') {
            let Some(Token { kind: Kind::Word(name), .. }) = project.get(at + 3) else { continue };
            let attribute =
                |at: usize| tokens[at].is(name) && at > 0 && tokens[at - 1].sign('@') && tokens[at - 1].first;
            values.extend(after(&tokens, attribute, &[]).into_iter().map(|mut value| {
                value.whole |= matches!(value.token.kind, Kind::Text(..));
                value
            }));
        } else {
            let whole = project.get(at + 3).is_none_or(|next| next.first || next.sign(',') || next.sign(']'));
            values.push(Value { token: *value, whole });
        }
    }
    let value = one(source, "version", values)?.ok_or_else(none)?;
    if !matches!(value.token.kind, Kind::Text(..)) {
        return Err(dynamic(source, value.token, "name the file that states it as the holder"));
    }
    Ok(vec![place(source, value, Spelling::SemVer)?])
}

/// `const Version = "1.2.3"` of a Go file, or `var`.
pub(super) fn go(source: &str) -> Result<Vec<Place>, HolderError> {
    let tokens = scan(source, GO)?;
    let mut values = Vec::new();
    // Whether the block that is open declares constants or variables.
    let mut block = false;
    for at in 0..tokens.len() {
        let token = tokens[at];
        if token.sign('(') && token.depth == 0 {
            block = at > 0 && (tokens[at - 1].is("const") || tokens[at - 1].is("var"));
        }
        let Kind::Word(name) = token.kind else { continue };
        let declared = match token.depth {
            0 => at > 0 && (tokens[at - 1].is("const") || tokens[at - 1].is("var")),
            1 => block && token.first,
            _ => false,
        };
        if !declared || !name.eq_ignore_ascii_case("version") {
            continue;
        }
        let at = at + 1 + usize::from(tokens.get(at + 1).is_some_and(|next| next.is("string")));
        if tokens.get(at).is_some_and(|next| next.sign('=')) {
            values.extend(
                tokens.get(at + 1).map(|value| Value { token: *value, whole: ends(&tokens, at + 2) }),
            );
        }
    }
    let value = one(source, "Version", values)?.ok_or_else(|| {
        missing("no constant or variable `Version` has a value", "add `const Version = \"0.1.0\"`")
    })?;
    if !matches!(value.token.kind, Kind::Text(..)) {
        return Err(dynamic(source, value.token, "name the file that states it as the holder"));
    }
    Ok(vec![place(source, value, Spelling::SemVer)?])
}

/// `version = "1.2.3"` of a build.gradle or build.gradle.kts, and Android's `versionName`.
pub(super) fn gradle(source: &str) -> Result<Vec<Place>, HolderError> {
    let tokens = scan(source, GRADLE)?;
    let mut shared = 0;
    let mut versions = Vec::new();
    let mut names = Vec::new();
    for at in 0..tokens.len() {
        let token = tokens[at];
        if token.depth == 0 && token.sign('{') && at > 0 {
            shared = usize::from(tokens[at - 1].is("allprojects") || tokens[at - 1].is("subprojects"));
        } else if token.depth == 0 && token.sign('}') {
            shared = 0;
        }
        let own = at >= 2 && tokens[at - 1].sign('.') && tokens[at - 2].is("project") && tokens[at - 2].first;
        let begins = own || token.first || (at > 0 && (tokens[at - 1].sign(';') || tokens[at - 1].sign('{')));
        let list = match token.kind {
            Kind::Word("version") if begins && token.depth <= shared => &mut versions,
            Kind::Word("versionName") if begins => &mut names,
            _ => continue,
        };
        let skip = usize::from(tokens.get(at + 1).is_some_and(|next| next.sign('=')));
        if let Some(value) = tokens.get(at + 1 + skip)
            && !value.first
            && !value.sign('=')
            && !value.sign('.')
        {
            list.push(Value { token: *value, whole: ends(&tokens, at + 2 + skip) });
        }
    }
    let resolve = |value: Value<'_>| -> Result<Span, HolderError> {
        let value = match value.token.kind {
            Kind::Word(name) if value.whole => {
                let named = |at: usize| tokens[at].is(name);
                one(source, name, after(&tokens, named, &['=']))?.unwrap_or(value)
            }
            _ => value,
        };
        match value.token.kind {
            Kind::Text(..) => Ok(place(source, value, Spelling::SemVer)?.span),
            _ => Err(dynamic(source, value.token, "name gradle.properties, or the file that states it")),
        }
    };
    let version = one(source, "version", versions)?;
    let name = one(source, "versionName", names)?;
    let semantic = |span| Place { span, spelling: Spelling::SemVer };
    match (version, name) {
        (Some(version), name) => {
            let span = resolve(version)?;
            let mut places = vec![semantic(span)];
            if let Some(Ok(other)) = name.map(resolve)
                && other != span
                && super::says_same(source, span, other)
            {
                places.push(semantic(other));
            }
            Ok(places)
        }
        (None, Some(name)) => Ok(vec![semantic(resolve(name)?)]),
        (None, None) => Err(missing(
            "the build states no `version` of its own",
            "add `version = \"0.1.0\"`, or name gradle.properties",
        )),
    }
}

/// What something is set to.
#[derive(Clone, Copy)]
struct Value<'a> {
    token: Token<'a>,
    /// Nothing is done to it.
    whole: bool,
}

fn scan(source: &str, language: Language) -> Result<Vec<Token<'_>>, HolderError> {
    if source.len() > LARGEST_CODE {
        return Err(HolderError::UnknownKind {
            problem: format!("{} bytes are more code than is searched for a version", source.len()),
            help: "find it by `pattern`".to_owned(),
        });
    }
    Ok(tokens(source, language))
}

/// What stands after the tokens that `is` picks and these signs.
fn after<'a>(tokens: &[Token<'a>], is: impl Fn(usize) -> bool, signs: &[char]) -> Vec<Value<'a>> {
    let mut values = Vec::new();
    for at in (0..tokens.len()).filter(|at| is(*at)) {
        let follow = signs
            .iter()
            .enumerate()
            .all(|(index, sign)| tokens.get(at + 1 + index).is_some_and(|token| token.sign(*sign)));
        let next = at + 1 + signs.len();
        if let Some(value) = tokens.get(next).filter(|value| follow && !value.sign('=') && !value.sign('~')) {
            values.push(Value { token: *value, whole: ends(tokens, next + 1) });
        }
    }
    values
}

/// Whether the statement is over at this token, but for `.freeze` and its like.
fn ends(tokens: &[Token<'_>], at: usize) -> bool {
    let frozen = tokens.get(at).is_some_and(|token| token.sign('.'))
        && tokens.get(at + 1).is_some_and(|token| token.is("freeze"));
    tokens
        .get(if frozen { at + 2 } else { at })
        .is_none_or(|token| token.first || [';', '}', ')', ','].iter().any(|sign| token.sign(*sign)))
}

/// The values a Python module assigns to `name` at its top, `a = name = "x"` included.
fn assignments<'a>(tokens: &[Token<'a>], name: &str) -> Vec<Value<'a>> {
    let mut values = Vec::new();
    for at in (0..tokens.len()).filter(|at| tokens[*at].flush && tokens[*at].depth == 0) {
        let mut named = false;
        let mut next = at;
        while let Some(Token { kind: Kind::Word(word), first, .. }) = tokens.get(next) {
            if *first && next != at {
                break;
            }
            let mut sign = next + 1;
            if next == at && tokens.get(sign).is_some_and(|token| token.sign(':')) {
                // A type stands between the name and its value.
                while tokens.get(sign).is_some_and(|token| !token.first && !token.sign('=')) {
                    sign += 1;
                }
            }
            let assigned = tokens.get(sign).is_some_and(|token| token.sign('=') && !token.first);
            if !assigned || tokens.get(sign + 1).is_some_and(|token| token.sign('=')) {
                break;
            }
            named |= *word == name;
            next = sign + 1;
        }
        if named && let Some(value) = tokens.get(next).filter(|value| !value.first) {
            values.push(Value { token: *value, whole: ends(tokens, next + 1) });
        }
    }
    values
}

/// The only value; nothing when there is none.
fn one<'a>(source: &str, name: &str, values: Vec<Value<'a>>) -> Result<Option<Value<'a>>, HolderError> {
    if values.len() > 1 {
        let spans: Vec<Span> =
            values.iter().map(|value| Span::new(value.token.start, value.token.start)).collect();
        return Err(HolderError::Several {
            what: format!("`{}`", shown(name)),
            found: values.len(),
            lines: super::lines(source, &spans),
        });
    }
    Ok(values.into_iter().next())
}

fn place(source: &str, value: Value<'_>, spelling: Spelling) -> Result<Place, HolderError> {
    let refuse = |problem: &str| HolderError::Unsupported {
        line: line_of(source, value.token.start),
        problem: problem.to_owned(),
    };
    match value.token.kind {
        Kind::Text(span, true) if value.whole => Ok(Place { span, spelling }),
        Kind::Text(_, false) => Err(refuse("the version is written with escapes or made of parts")),
        Kind::Text(..) => Err(refuse("the version is put together from parts")),
        _ => Err(dynamic(source, value.token, "name the file that states it as the holder")),
    }
}

fn dynamic(source: &str, token: Token<'_>, help: &str) -> HolderError {
    HolderError::Dynamic { line: line_of(source, token.start), help: help.to_owned() }
}

fn missing(expected: &str, help: &str) -> HolderError {
    HolderError::Missing { expected: expected.to_owned(), help: help.to_owned() }
}
