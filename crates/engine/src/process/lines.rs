//! Cuts a stream into lines for the log, masked; a line without end is cut where no secret stands.

use std::sync::Arc;

use windlass_core::plan::StepPath;

use crate::context::{Context, LogSink, Stream};
use crate::mask::Masker;

/// The longest piece of a line that is held before it is logged, in bytes.
const LONGEST: usize = 64 << 10;

/// Takes bytes, logs lines.
pub(super) struct Lines {
    held: Vec<u8>,
    path: StepPath,
    stream: Stream,
    log: Arc<dyn LogSink>,
    masker: Arc<Masker>,
}

impl Lines {
    pub(super) fn new(context: &Context, stream: Stream) -> Self {
        Self {
            held: Vec::new(),
            path: context.path.clone(),
            stream,
            log: Arc::clone(&context.world.log),
            masker: Arc::clone(&context.world.masker),
        }
    }

    pub(super) fn take(&mut self, bytes: &[u8]) {
        let mut pieces = bytes.split(|byte| *byte == b'\n');
        if let Some(first) = pieces.next() {
            self.hold(first);
        }
        // Each further piece stands behind a newline.
        for piece in pieces {
            self.end_line();
            self.hold(piece);
        }
    }

    /// Logs a last line that has no newline.
    pub(super) fn finish(&mut self) {
        if !self.held.is_empty() {
            self.end_line();
        }
    }

    fn hold(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
        // Twice a secret's length always leaves something to log.
        if self.held.len() > LONGEST.max(self.masker.longest().saturating_mul(2)) {
            let rest = self.held.split_off(self.masker.safe_cut(&self.held));
            self.end_line();
            self.held = rest;
        }
    }

    fn end_line(&mut self) {
        let text = String::from_utf8_lossy(&self.held);
        let text = text.strip_suffix('\r').unwrap_or(&text);
        self.log.line(&self.path, self.stream, &self.masker.mask(text));
        self.held.clear();
    }
}
