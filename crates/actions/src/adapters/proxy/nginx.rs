//! nginx.

use windlass_engine::context::Context;

use super::{Course, Proxy, Result, Status};

pub(super) async fn status(proxy: &Proxy, _context: &Context) -> Result<Vec<Status>> {
    Err(proxy.unfit("cannot be asked yet"))
}

pub(super) async fn steer(proxy: &Proxy, _context: &Context, _fence: u64, _courses: &[Course]) -> Result<()> {
    Err(proxy.unfit("cannot be steered yet"))
}

pub(super) async fn leaving(proxy: &Proxy, _context: &Context) -> Result<u64> {
    Err(proxy.unfit("cannot be asked yet"))
}
