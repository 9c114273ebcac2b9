//! Steps written as lines of a plain fence: `[n] Title (owner, duration)` and `- action`.

use super::Owners;
use super::document::Fence;
use super::words;
use crate::diagnostic::Span;
use crate::duration::Duration;
use crate::runbook::{Check, Item, Owner, Settings, Step};

/// A step with that title and nothing in it; its id is the title's slug.
pub(super) fn titled(title: String, number: Option<u32>, span: Span) -> Step {
    Step {
        id: words::slug(&title),
        number,
        title,
        span,
        settings: Settings::default(),
        skills: Vec::new(),
        items: Vec::new(),
    }
}

/// The steps of a fence without a language, or `None` when it holds no `[n] Title` line.
pub(super) fn read(fence: &Fence, owners: &mut Owners) -> Option<Vec<Step>> {
    let mut steps: Vec<Step> = Vec::new();
    let mut offset = 0;
    for line in fence.text.split_inclusive('\n') {
        let text = line.trim();
        let start = offset + (line.len() - line.trim_start().len());
        let span = fence.source_span(start, start + text.len());
        offset += line.len();
        if let Some((number, title)) = numbered(text) {
            steps.push(step(number, title, span, owners));
        } else if let Some(step) = steps.last_mut() {
            add(step, text, span);
        }
    }
    (!steps.is_empty()).then_some(steps)
}

/// The number and the rest of `[n] Title`.
fn numbered(text: &str) -> Option<(u32, &str)> {
    let (number, title) = text.strip_prefix('[')?.split_once(']')?;
    let title = title.trim();
    let number = number.trim().parse().ok()?;
    (!title.is_empty()).then_some((number, title))
}

fn step(number: u32, title: &str, span: Span, owners: &mut Owners) -> Step {
    let in_parentheses = title.strip_suffix(')').and_then(|title| title.rsplit_once('('));
    let Some((name, inside)) = in_parentheses else {
        return titled(crate::text::sanitize_line(title), Some(number), span);
    };
    let mut step = titled(crate::text::sanitize_line(name), Some(number), span);
    let mut who = inside;
    if let Some((before, last)) = inside.rsplit_once(',')
        && let Ok(within) = Duration::parse(last)
    {
        step.settings.within = Some(within);
        who = before;
    } else if let Ok(within) = Duration::parse(inside) {
        step.settings.within = Some(within);
        return step;
    }
    let mut found = Owners::new();
    if let Some(mut owner) = owner(who, span.start, &mut found) {
        // `bridge-tester via CI` names the owner, then the means.
        for name in &mut owner.names {
            name.truncate(name.find(" via ").unwrap_or(name.len()));
        }
        owners.extend(owner.names.iter().map(|name| (name.clone(), span)));
        step.settings.owner = Some(owner);
    }
    step
}

fn add(step: &mut Step, text: &str, span: Span) {
    if text.is_empty() {
        return;
    }
    if let Some(action) = text.strip_prefix("- ") {
        let action = crate::text::sanitize_line(action);
        match action.split_once(':') {
            Some((key, value)) if words::setting(key) == Some(words::Setting::Output) => {
                step.settings.outputs.extend(comma_separated(value));
            }
            _ => step.items.push(Item::Check(check(action, span))),
        }
        return;
    }
    let Some(Item::Check(last)) = step.items.last_mut() else {
        step.items.push(Item::Check(check(crate::text::sanitize_line(text), span)));
        return;
    };
    match text.strip_prefix("* ") {
        Some(nested) => last.children.push(check(crate::text::sanitize_line(nested), span)),
        None => {
            last.text.push(' ');
            last.text.push_str(&crate::text::sanitize_line(text));
        }
    }
}

fn check(text: String, span: Span) -> Check {
    Check { text, command: None, children: Vec::new(), ticked: false, span }
}

/// Who `text` names: one name, `a or b`, or `a + b`. Their places go to `owners`.
pub(super) fn owner(text: &str, base: usize, owners: &mut Owners) -> Option<Owner> {
    let mut names: Vec<(usize, String)> = vec![(0, String::new())];
    let mut joints = Vec::new();
    let mut offset = 0;
    for word in text.split_inclusive(char::is_whitespace) {
        let trimmed = word.trim();
        let start = offset;
        offset += word.len();
        let all = match words::fold(trimmed).as_str() {
            "" => continue,
            "or" | "ou" => false,
            "+" | "and" | "et" | "&" => true,
            _ => {
                if let Some((at, name)) = names.last_mut() {
                    if name.is_empty() {
                        *at = start;
                    } else {
                        name.push(' ');
                    }
                    name.push_str(trimmed);
                }
                continue;
            }
        };
        joints.push(all);
        names.push((offset, String::new()));
    }
    let all = joints.first().copied().unwrap_or(false);
    let clear = joints.iter().all(|joint| *joint == all);
    let cleaned: Vec<(usize, String)> = names
        .into_iter()
        .map(|(at, name)| (at + usize::from(name.starts_with('`')), name.trim_matches('`').to_owned()))
        .collect();
    if !clear || cleaned.iter().any(|(_, name)| name.is_empty() || name.contains([',', ';'])) {
        return None;
    }
    owners.extend(
        cleaned.iter().map(|(at, name)| (name.clone(), Span::new(base + at, base + at + name.len()))),
    );
    Some(Owner { names: cleaned.iter().map(|(_, name)| crate::text::sanitize_line(name)).collect(), all })
}

/// The parts of a list written `a, b`.
pub(super) fn comma_separated(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}
