//! A run redrawn on a terminal: where it is, whom it waits for, what it says.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crossterm::cursor::{Hide, MoveToColumn, MoveUp, Show};
use crossterm::terminal::{BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, size};
use jiff::Timestamp;
use unicode_width::UnicodeWidthStr as _;
use windlass_core::plan::StepPath;
use windlass_core::run::{GateKind, Recorded, RunEvent, RunState};
use windlass_core::text::{sanitize, sanitize_line};

use super::picture::{Line, Tone, head, steps, watches};
use super::view::{Asked, KeyAnswer};
use super::{Report, words};
use crate::runner::Told;
use crate::runner::keys::Key;

/// Log lines that are shown.
const LOGGED: usize = 5;
/// What a terminal that does not tell its size is taken for.
const SIZE: (u16, u16) = (80, 24);
/// How long a question is on the screen before a key answers it.
const SEEN: Duration = Duration::from_millis(400);

/// A run redrawn on a terminal.
pub struct Live {
    told: Told,
    person: Option<String>,
    logged: VecDeque<String>,
    note: Option<String>,
    typing: Option<Typing>,
    /// The gate that is asked, and since when it is on the screen.
    asked: Option<(StepPath, Instant)>,
    /// Widths of the lines on the screen, to find back to their start when the terminal wrapped them anew.
    drawn: Vec<usize>,
    last: String,
}

/// A reason being typed.
struct Typing {
    path: StepPath,
    text: String,
}

impl Live {
    /// For the run that `told` tells of; `person` is the one who answers with keys, if anybody can.
    pub fn new(told: &Told, person: Option<String>) -> Self {
        Self {
            told: told.clone(),
            person,
            logged: VecDeque::new(),
            note: None,
            typing: None,
            asked: None,
            drawn: Vec::new(),
            last: String::new(),
        }
    }

    /// Takes an event into account.
    pub fn event(&mut self, recorded: &Recorded, state: &RunState) {
        if self.told.last() < recorded.sequence {
            self.told.history.push(recorded.clone());
        }
        self.told.state = state.clone();
        if matches!(recorded.event, RunEvent::StepStarted { .. } | RunEvent::Finished { .. }) {
            self.logged.clear();
            self.note = None;
        }
        if let Some(typing) = &self.typing
            && !state.gates.iter().any(|gate| gate.path == typing.path)
        {
            self.typing = None;
        }
    }

    /// Takes a line of an item's log into account.
    pub fn line(&mut self, text: &str) {
        self.logged.push_back(sanitize(text).replace(['\t', '\n'], "  "));
        if self.logged.len() > LOGGED {
            self.logged.pop_front();
        }
    }

    /// Says something.
    pub fn note(&mut self, note: &str) {
        self.note = Some(sanitize_line(note));
    }

    /// A key was pressed.
    pub fn key(&mut self, key: Key) -> Option<Asked> {
        if key == Key::Interrupt {
            self.typing = None;
            return Some(Asked::Interrupt);
        }
        if let Some(typing) = &mut self.typing {
            match key {
                Key::Letter(letter) => typing.text.push(letter),
                Key::Backspace => drop(typing.text.pop()),
                Key::Escape => self.typing = None,
                Key::Enter => {
                    let reason = sanitize_line(&typing.text);
                    if reason.is_empty() {
                        self.note = Some("a skip needs a reason; Esc leaves it".into());
                    } else {
                        let path = typing.path.clone();
                        self.typing = None;
                        return Some(Asked::Answer(KeyAnswer::Skip(path, reason)));
                    }
                }
                Key::Interrupt | Key::Resized => {}
            }
            return None;
        }
        let gate = self.told.state.gates.first()?;
        self.person.as_ref()?;
        let path = gate.path.clone();
        // A key that was meant for the gate before must not answer this one.
        let seen = self.asked.as_ref().filter(|(asked, since)| *asked == path && since.elapsed() >= SEEN);
        seen?;
        let answer = match key {
            Key::Letter('y') => KeyAnswer::Yes(path),
            Key::Letter('n') => KeyAnswer::No(path),
            Key::Letter('r') if gate.kind == GateKind::Doubt => KeyAnswer::Retry(path),
            Key::Letter('s') => {
                self.typing = Some(Typing { path, text: String::new() });
                self.note = None;
                return None;
            }
            _ => return None,
        };
        Some(Asked::Answer(answer))
    }

    /// Draws, when something has changed.
    pub fn draw(&mut self, report: &mut Report) {
        let (width, height) = size().unwrap_or(SIZE);
        let (width, height) = (usize::from(width).max(20), usize::from(height).max(8));
        let first = self.told.state.gates.first().map(|gate| &gate.path);
        if first != self.asked.as_ref().map(|(path, _)| path) {
            self.asked = first.map(|path| (path.clone(), Instant::now()));
        }
        let lines = self.lines(Timestamp::now(), height);
        self.put(report, &lines, width);
    }

    /// Leaves the last picture: how the steps ended, without what was only of the moment.
    pub fn finish(&mut self, report: &mut Report) {
        let (width, _) = size().unwrap_or(SIZE);
        let now = Timestamp::now();
        let mut lines = vec![head(&self.told, now)];
        lines.extend(steps(&self.told, now));
        lines.push(Line::default());
        self.put(report, &lines, usize::from(width).max(20));
        report.stderr(&ansi(&Show));
    }

    /// The picture, in at most `height` - 1 lines.
    fn lines(&self, now: Timestamp, height: usize) -> Vec<Line> {
        let mut below = watches(&self.told, now);
        below.extend(self.gate(now));
        if !self.logged.is_empty() {
            below.push(Line::default());
            let logged = self.logged.iter();
            below.extend(logged.map(|text| Line::of(Tone::Dim, "│ ").with(Tone::Plain, text)));
        }
        if let Some(note) = &self.note {
            below.push(Line::of(Tone::Warn, note));
        }
        let room = height.saturating_sub(below.len() + 2).max(1);
        let mut lines = vec![head(&self.told, now)];
        lines.extend(window(steps(&self.told, now), room));
        lines.extend(below);
        let over = lines.len().saturating_sub(height - 1);
        // A terminal this small shows the end: the question and the keys.
        lines.split_off(over)
    }

    /// The open gate and the keys that answer it.
    fn gate(&self, now: Timestamp) -> Vec<Line> {
        let Some(gate) = self.told.state.gates.first() else { return Vec::new() };
        let until = gate.deadline.map(|at| format!(", until {}", words::moment(at, now)));
        let mut lines = vec![
            Line::default(),
            Line::of(Tone::Warn, "⧖ ").with(Tone::Bold, sanitize_line(&gate.question)),
            Line::of(Tone::Plain, format!("  for {}{}", words::asked(&gate.who), until.unwrap_or_default())),
        ];
        let more = self.told.state.gates.len() - 1;
        if more > 0 {
            lines.push(Line::of(Tone::Dim, format!("  and {more} more after it")));
        }
        if let Some(typing) = &self.typing {
            lines.push(
                Line::of(Tone::Bold, "  why? ").with(Tone::Plain, format!("{}▏", sanitize(&typing.text))),
            );
            lines.push(Line::of(Tone::Dim, "  Enter skips it, Esc leaves it"));
        } else if let Some(person) = &self.person {
            let keys = match gate.kind {
                GateKind::Approval => "y approve   n reject   s skip",
                GateKind::Doubt => "y it took effect   n it did not as it should   r run it again   s skip",
                GateKind::Confirm => "y yes   n no   s skip",
            };
            let keys = Line::of(Tone::Bold, format!("  {keys}"));
            lines.push(keys.with(Tone::Dim, format!("   as {}", sanitize_line(person))));
        } else {
            let command = words::answer(self.told.run(), gate.kind, &gate.path);
            lines.push(Line::of(Tone::Bold, format!("  {command}")));
        }
        lines
    }

    /// Replaces what is on the screen by `lines`.
    fn put(&mut self, report: &mut Report, lines: &[Line], width: usize) {
        let painted: Vec<String> =
            lines.iter().map(|line| line.painted(width - 1, report.err_paint)).collect();
        let text = painted.join("\r\n");
        if text == self.last {
            return;
        }
        let mut frame = ansi(&BeginSynchronizedUpdate) + &ansi(&Hide);
        let rows: usize = self.drawn.iter().map(|drawn| drawn.max(&1).div_ceil(width)).sum();
        // The cursor rests on the line below the picture.
        if let Ok(rows @ 1..) = u16::try_from(rows) {
            frame.push_str(&ansi(&MoveUp(rows)));
        }
        frame += &ansi(&MoveToColumn(0));
        frame += &ansi(&Clear(ClearType::FromCursorDown));
        frame += &text;
        frame += "\r\n";
        frame += &ansi(&EndSynchronizedUpdate);
        report.stderr(&frame);
        self.drawn = lines.iter().map(|line| line.plain(width - 1).width()).collect();
        self.last = text;
    }
}

/// What a terminal is sent for a command.
fn ansi(command: &impl crossterm::Command) -> String {
    let mut text = String::new();
    // Writing to a string never fails.
    let _ = command.write_ansi(&mut text);
    text
}

/// The part of `lines` that has what goes on now in it.
fn window(lines: Vec<Line>, room: usize) -> Vec<Line> {
    if lines.len() <= room {
        return lines;
    }
    let room = room.saturating_sub(2).max(1);
    let current = lines.iter().rposition(|line| line.current).unwrap_or_default();
    let start = current.saturating_sub(room.saturating_sub(1)).min(lines.len() - room.min(lines.len()));
    let end = (start + room).min(lines.len());
    let after = lines.len() - end;
    let mut shown = Vec::with_capacity(room + 2);
    if start > 0 {
        shown.push(Line::of(Tone::Dim, format!("… {start} above")));
    }
    shown.extend(lines.into_iter().skip(start).take(end - start));
    if after > 0 {
        shown.push(Line::of(Tone::Dim, format!("… {after} below")));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_runbook_is_shown_around_what_goes_on() {
        let lines = |current: usize| {
            (0..20).map(move |number| {
                let mut line = Line::of(Tone::Plain, number.to_string());
                line.current = number == current;
                line
            })
        };
        let check = |current: usize, room: usize, expect: &str| {
            let shown = window(lines(current).collect(), room);
            let text: Vec<String> = shown.iter().map(|line| line.plain(80)).collect();
            assert_eq!(text.join(" "), expect);
            assert!(shown.len() <= room.max(3));
        };
        check(0, 6, "0 1 2 3 … 16 below");
        check(10, 6, "… 7 above 7 8 9 10 … 9 below");
        check(19, 6, "… 16 above 16 17 18 19");
        check(10, 1, "… 10 above 10 … 9 below");
        assert_eq!(window(lines(0).collect(), 20).len(), 20);
    }
}
