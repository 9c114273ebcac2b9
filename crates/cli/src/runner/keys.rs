//! Keys pressed on a terminal while a run is shown.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers, poll, read};
use crossterm::terminal::{disable_raw_mode, enable_raw_mode};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// A key that means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// A letter or sign.
    Letter(char),
    /// The line is done.
    Enter,
    /// The last letter is taken back.
    Backspace,
    /// Never mind.
    Escape,
    /// Ctrl-C: in raw mode the terminal sends no signal.
    Interrupt,
    /// The terminal has another size.
    Resized,
}

/// The keyboard, in raw mode until dropped.
#[derive(Debug)]
pub struct Keys {
    /// What was pressed.
    pub pressed: UnboundedReceiver<Key>,
    stop: Arc<AtomicBool>,
}

impl Keys {
    /// Starts to listen; `None` when the terminal does not let us.
    pub fn listen() -> Option<Self> {
        enable_raw_mode().ok()?;
        let (sender, pressed) = unbounded_channel();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                match poll(Duration::from_millis(100)) {
                    Ok(false) => continue,
                    Ok(true) => {}
                    Err(_) => return,
                }
                let Ok(event) = read() else { return };
                if let Some(key) = meaning(&event)
                    && sender.send(key).is_err()
                {
                    return;
                }
            }
        });
        Some(Self { pressed, stop })
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = disable_raw_mode();
    }
}

fn meaning(event: &Event) -> Option<Key> {
    match event {
        Event::Resize(..) => Some(Key::Resized),
        Event::Key(key) if key.kind == KeyEventKind::Release => None,
        Event::Key(key) => match key.code {
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Some(Key::Interrupt),
            KeyCode::Char(letter) if !key.modifiers.contains(KeyModifiers::CONTROL) => {
                Some(Key::Letter(letter))
            }
            KeyCode::Enter => Some(Key::Enter),
            KeyCode::Backspace => Some(Key::Backspace),
            KeyCode::Esc => Some(Key::Escape),
            _ => None,
        },
        _ => None,
    }
}
