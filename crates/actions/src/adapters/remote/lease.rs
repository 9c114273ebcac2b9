//! The lock of an environment, kept while an action works: renewed in the background, given back at the end.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use windlass_engine::action::{ActionError, Result as ActionResult};
use windlass_engine::context::Context;

use super::{Host, RemoteError, Result};

/// How many seconds the lock holds without being renewed.
pub const LEASE: u64 = 60;

/// A lock that is held, and renewed until it is dropped.
#[derive(Debug)]
pub struct Lease {
    /// The fence that every step on a host acts under.
    pub fence: u64,
    host: Host,
    lost: CancellationToken,
    heartbeat: tokio::task::AbortHandle,
}

impl Lease {
    /// Takes the lock on `host`, with a fence above `above`.
    ///
    /// # Errors
    /// [`RemoteError::Locked`] when another run has it.
    pub async fn take(context: &Context, host: &Host, person: &str, above: u64) -> Result<Self> {
        let fence = host.lock(context, person, LEASE, above).await?;
        let lost = CancellationToken::new();
        let task = tokio::spawn(keep(context.clone(), host.clone(), lost.clone()));
        Ok(Self { fence, host: host.clone(), lost, heartbeat: task.abort_handle() })
    }

    /// Does `work` while the lock is held, and gives the lock back after it, however it ended.
    ///
    /// # Errors
    /// What `work` gives; that the lock was lost.
    pub async fn around<T>(
        self,
        context: &Context,
        work: impl Future<Output = ActionResult<T>>,
    ) -> ActionResult<T> {
        let result = tokio::select! {
            biased;
            result = work => result,
            () = self.lost.cancelled() => Err(RemoteError::NotOurs.into()),
        };
        self.heartbeat.abort();
        // A cancelled run must not leave its lock behind: this is asked outside of what was cancelled.
        let mut outside = context.clone();
        if context.cancel.is_cancelled() {
            outside.cancel = CancellationToken::new();
        }
        let patience = Duration::from_secs(15);
        match tokio::time::timeout(patience, self.host.unlock(&outside)).await {
            Ok(Ok(())) => {}
            // It ends by itself; a deployment that is done is not undone for it.
            Ok(Err(error)) => {
                context.log(&format!("the lock could not be given back, and ends by itself: {error}"))
            }
            Err(_) => context.log("the lock could not be given back, and ends by itself"),
        }
        if matches!(result, Err(ActionError::Cancelled)) {
            context.log("cancelled; the hosts keep what they have: `windlass env` tells");
        }
        result
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.heartbeat.abort();
    }
}

async fn keep(context: Context, host: Host, lost: CancellationToken) {
    loop {
        tokio::time::sleep(Duration::from_secs(LEASE / 4)).await;
        // Any other trouble may pass before the lease does; the fence keeps the hosts safe when it does not.
        if let Err(RemoteError::NotOurs) = host.renew(&context, LEASE).await {
            lost.cancel();
            return;
        }
    }
}
