//! nginx, by the file with its upstream and a reload. The test comes first: nginx itself goes on silently with what it
//! had when a reload finds a mistake.

use windlass_engine::context::Context;

use super::{Admission, Course, Proxy, Status};
use crate::adapters::remote::{Around, RemoteError, Result};

mod config;

/// What the file says of the servers: nginx itself tells nothing.
pub(super) async fn status(proxy: &Proxy, context: &Context) -> Result<Vec<Status>> {
    let file = file(proxy)?;
    let text = proxy.host.show(context, file).await?;
    let servers = config::servers(proxy, file, &text)?;
    Ok(servers.iter().map(|server| server.status(proxy)).collect())
}

pub(super) async fn steer(proxy: &Proxy, context: &Context, fence: u64, courses: &[Course]) -> Result<()> {
    let (test, reload) = (proxy.table.test_command(), proxy.table.reload_command());
    let around = Around { test: &test, reload: &reload };
    let file = file(proxy)?;
    let edit = |text: &str| config::edit(proxy, file, text, courses);
    proxy.host.render(context, fence, file, around, false, edit).await
}

/// Whether the file has every server of the environment, may be changed, and passes its test.
pub(super) async fn check(proxy: &Proxy, context: &Context, fence: u64) -> Result<()> {
    let courses: Vec<Course> =
        proxy.servers.iter().map(|server| server.course(Admission::Ready, None)).collect();
    let test = proxy.table.test_command();
    let around = Around { test: &test, reload: &[] };
    let file = file(proxy)?;
    let edit = |text: &str| config::edit(proxy, file, text, &courses).map(|_| text.to_owned());
    proxy.host.render(context, fence, file, around, true, edit).await
}

/// How many of nginx's workers end what they have from before a reload. It does not tell by server.
pub(super) async fn leaving(proxy: &Proxy, context: &Context) -> Result<u64> {
    proxy.host.leaving(context).await
}

fn file(proxy: &Proxy) -> std::result::Result<&str, RemoteError> {
    proxy.table.config.as_deref().ok_or_else(|| proxy.unfit("the file with the upstream is not configured"))
}
