//! Templates of changelogs and notes: minijinja, bounded, and strict about names.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;

/// More steps than this is no document but a program that does not end.
const FUEL: u64 = 20_000_000;

/// What a template may be long, and what it may make, in bytes.
const LONGEST: usize = 4 * 1024 * 1024;

/// A template, read once and rendered as often as wanted.
#[derive(Debug)]
pub struct Template {
    environment: Environment<'static>,
    name: String,
}

/// Why a template cannot be read or rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}{}: {message}", line.map_or_else(String::new, |line| format!(" line {line}")))]
pub struct TemplateError {
    /// The template's name.
    pub name: String,
    /// Where in it, from 1.
    pub line: Option<usize>,
    /// What is wrong.
    pub message: String,
}

impl Template {
    /// Reads a template. `name` is what errors call it.
    pub fn new(name: &str, source: &str) -> Result<Self, TemplateError> {
        let refuse =
            |message: String| TemplateError { name: crate::text::sanitize_line(name), line: None, message };
        if source.len() > LONGEST {
            return Err(refuse(format!("it has {} bytes, the most is {LONGEST}", source.len())));
        }
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        let syntax =
            SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build();
        environment.set_syntax(syntax.map_err(|error| told(name, &error))?);
        // Markdown is no HTML: texts come escaped for it already.
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment.set_formatter(|output, state, value| match value.is_none() {
            // What is not there leaves nothing, instead of the word `none`.
            true => Ok(()),
            false => minijinja::escape_formatter(output, state, value),
        });
        environment
            .add_template_owned("template".to_owned(), source.to_owned())
            .map_err(|error| told(name, &error))?;
        Ok(Self { environment, name: name.to_owned() })
    }

    /// What it makes of `context`.
    pub fn render(&self, context: &impl Serialize) -> Result<String, TemplateError> {
        let template = self.environment.get_template("template").map_err(|error| told(&self.name, &error))?;
        let text = template.render(Serde(context)).map_err(|error| told(&self.name, &error))?;
        if text.len() > LONGEST {
            let message = format!("it makes {} bytes, the most is {LONGEST}", text.len());
            return Err(TemplateError { name: self.name.clone(), line: None, message });
        }
        Ok(text)
    }
}

fn told(name: &str, error: &minijinja::Error) -> TemplateError {
    let detail = error
        .detail()
        .map_or_else(|| error.kind().to_string(), |detail| format!("{}: {detail}", error.kind()));
    TemplateError {
        name: crate::text::sanitize_line(name),
        line: error.line(),
        message: crate::text::sanitize_line(&detail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn templates_are_strict_and_bounded() {
        let context = BTreeMap::from([("a", Some("x")), ("none", None)]);
        let render =
            |source: &str| Template::new("t.j2", source).and_then(|template| template.render(&context));
        for (source, expect) in [
            ("{% for one in [1, 2] %}\n- {{ one }}{{ a }}\n{% endfor %}\n", "- 1x\n- 2x\n"),
            ("<{{ none }}|{{ '<b>' }}>\n", "<|<b>>\n"),
        ] {
            assert_eq!(render(source).as_deref(), Ok(expect), "{source}");
        }
        for (source, expect) in [
            ("\n{{ b }}", "t.j2 line 2: undefined value"),
            ("{% if %}", "t.j2 line 1: syntax error"),
            ("{% for a in range(9999) %}{% for b in range(9999) %}{{ b }}{% endfor %}{% endfor %}", "t.j2"),
            ("{% include 'other' %}", "t.j2 line 1"),
        ] {
            let error = render(source).unwrap_err().to_string();
            assert!(error.contains(expect), "{source}: {error}");
        }
    }
}
