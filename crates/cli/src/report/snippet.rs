//! A finding with its source line underlined.

use annotate_snippets::{AnnotationKind, Element, Level, Origin, Renderer, Snippet};
use windlass_core::diagnostic::{Diagnostic, Severity};
use windlass_core::text::{sanitize, sanitize_line};

use super::Paint;

/// `diagnostic` about the file at `path`, whose text is `source`, as lines that end with a newline.
pub fn render(path: &str, source: Option<&str>, diagnostic: &Diagnostic, paint: Paint) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let path = sanitize_line(path);
    let message = sanitize_line(&diagnostic.message);
    let help = diagnostic.help.as_deref().map(sanitize_line);
    let mut group = level
        .primary_title(message.as_str())
        .id(diagnostic.code.as_str())
        .elements(Vec::<Element<'_>>::new());
    let shown = diagnostic.span.zip(source).map(|(span, source)| excerpt(source, span.start, span.end));
    if let Some(excerpt) = &shown {
        group = group.element(
            Snippet::source(excerpt.text.as_str())
                .path(path.as_str())
                .line_start(excerpt.line)
                .annotation(AnnotationKind::Primary.span(excerpt.start..excerpt.end)),
        );
    } else {
        group = group.element(Origin::path(path.as_str()));
    }
    if let Some(help) = &help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    let renderer = if paint.color { Renderer::styled() } else { Renderer::plain() };
    format!("{}\n", renderer.render(&[group]))
}

/// The lines a finding is about, made safe to show, and its place in them.
struct Excerpt {
    text: String,
    line: usize,
    start: usize,
    end: usize,
}

/// Only the first line of the finding is shown: what is wrong starts there, and a fence may have thousands.
fn excerpt(source: &str, start: usize, end: usize) -> Excerpt {
    let boundary = |mut offset: usize| {
        offset = offset.min(source.len());
        while !source.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    };
    let (start, end) = (boundary(start), boundary(end.max(start)));
    let from = source[..start].rfind('\n').map_or(0, |newline| newline + 1);
    let to = source[start..].find('\n').map_or(source.len(), |newline| start + newline);
    let end = end.min(to);
    let before = sanitize(&source[from..start]);
    let inside = sanitize(&source[start..end]);
    let after = sanitize(&source[end..to]);
    let line = source[..from].bytes().filter(|byte| *byte == b'\n').count() + 1;
    let (start, end) = (before.len(), before.len() + inside.len());
    Excerpt { text: format!("{before}{inside}{after}"), line, start, end }
}
