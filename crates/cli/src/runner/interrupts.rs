//! Signals that ask the process to leave.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::{CommandError, Result};

/// Who wants us to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Interrupt {
    /// The person at the terminal.
    Person,
    /// The system.
    System,
}

/// Listens for them.
pub(super) struct Listeners {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Listeners {
    pub(super) fn new() -> Result<Self> {
        let listen = |kind| {
            signal(kind)
                .map_err(|error| CommandError::failed(format!("signals cannot be listened to: {error}")))
        };
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    pub(super) async fn next(&mut self) -> Interrupt {
        tokio::select! {
            _ = self.interrupt.recv() => Interrupt::Person,
            _ = self.terminate.recv() => Interrupt::System,
            _ = self.hang_up.recv() => Interrupt::System,
        }
    }
}
