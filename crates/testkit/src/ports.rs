//! Ports on this machine for servers that are started by their configuration.

use std::net::TcpListener;
use std::ops::Range;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below those that the system gives to connections, and to whoever asks for any.
const PORTS: Range<u16> = 10_000..30_000;

/// A port that nobody has at the moment, and that nobody is given by chance before it is used.
///
/// # Errors
/// When there is none.
pub fn free() -> std::io::Result<u16> {
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    let count = PORTS.end - PORTS.start;
    // Every process begins elsewhere.
    let first = std::process::id().wrapping_mul(613) % u32::from(count);
    let first = u16::try_from(first).map_err(std::io::Error::other)?;
    let mut ports = PORTS.map(|_| {
        let place = (first + GIVEN.fetch_add(1, Ordering::SeqCst) % count) % count;
        PORTS.start + place
    });
    ports
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .ok_or_else(|| std::io::Error::other("every port is taken"))
}
