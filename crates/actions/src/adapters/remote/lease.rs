//! The lock of an environment: taken and broken, and kept while an action works, renewed in the background, given back
//! at the end.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use windlass_core::text::sanitize_line;
use windlass_engine::action::{ActionError, Result as ActionResult};
use windlass_engine::context::Context;

use super::record::Kept;
use super::{Host, Lock, RemoteError, Result};

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
        self.give_back(context).await;
        if matches!(result, Err(ActionError::Cancelled)) {
            context.log("cancelled; the hosts keep what they have: `windlass env` tells");
        }
        result
    }

    /// Gives the lock back. When that fails, it ends by itself.
    pub async fn give_back(self, context: &Context) {
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

impl Host {
    /// Takes the environment's lock for this run, with a fence above `above` and every one seen; gives the fence.
    ///
    /// # Errors
    /// [`RemoteError::Locked`] when another run has it.
    pub async fn lock(&self, context: &Context, person: &str, seconds: u64, above: u64) -> Result<u64> {
        let person = sanitize_line(person);
        let (epoch, seconds, above) = (context.epoch.to_string(), seconds.to_string(), above.to_string());
        let told = self
            .call(context, "lock", &[&context.run.0, &epoch, &person, &seconds, &above], None, true)
            .await?;
        told.trim()
            .parse()
            .map_err(|_| RemoteError::Failed(format!("{} gave no fence but `{told}`", self.name)))
    }

    /// Renews the lock.
    ///
    /// # Errors
    /// [`RemoteError::NotOurs`] when it is somebody else's.
    pub async fn renew(&self, context: &Context, seconds: u64) -> Result<()> {
        let (epoch, seconds) = (context.epoch.to_string(), seconds.to_string());
        self.call(context, "renew", &[&context.run.0, &epoch, &seconds], None, true).await.map(drop)
    }

    /// Gives the lock back, when it is ours.
    ///
    /// # Errors
    /// When the host cannot be asked.
    pub async fn unlock(&self, context: &Context) -> Result<()> {
        let epoch = context.epoch.to_string();
        self.call(context, "unlock", &[&context.run.0, &epoch], None, true).await.map(drop)
    }

    /// Begins under a fence here whose lock is on another host, and gives all that is kept. A lock that this run left
    /// here, or that is over, is gone then.
    ///
    /// # Errors
    /// [`RemoteError::Fenced`] when that fence or a higher one was seen, [`RemoteError::Locked`] when another run has a
    /// lock here.
    pub async fn claim(&self, context: &Context, fence: u64) -> Result<Kept> {
        let (epoch, given) = (context.epoch.to_string(), fence.to_string());
        let words = ["claim", &context.run.0, &epoch, &given];
        self.read(&self.call_under(context, fence, &words).await?)
    }

    /// Takes the lock away from whoever has it, with a fence above `above` and every one seen. Gives who had it, and the
    /// fence that keeps them off.
    ///
    /// # Errors
    /// When the host cannot be asked.
    pub async fn break_lock(
        &self,
        context: &Context,
        person: &str,
        reason: &str,
        above: u64,
    ) -> Result<(Option<Lock>, u64)> {
        let (person, reason, above) = (sanitize_line(person), sanitize_line(reason), above.to_string());
        let told = self.call(context, "break", &[&person, &reason, &above], None, true).await?;
        let kept = Kept::parse(&told).map_err(RemoteError::Failed)?;
        Ok((kept.lock, kept.fence))
    }
}
