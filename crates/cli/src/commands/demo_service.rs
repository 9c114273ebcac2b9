//! `windlass demo-service`: the service that the demo deploys to. Not for people.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use tokio::sync::watch;

use crate::demo::{colours, service};
use crate::error::{CommandError, Result};
use crate::exit::Exit;
use crate::session::Session;

/// Serve the folder of the demo's service.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The folder that versions are deployed to
    #[arg(long, value_name = "FOLDER")]
    pub root: PathBuf,
    /// Serve until the folder is gone, not until standard input ends
    #[arg(long)]
    pub keep: bool,
    /// Serve two colours behind this HAProxy
    #[arg(long, value_name = "PROGRAM")]
    pub haproxy: Option<PathBuf>,
}

/// Serves.
///
/// # Errors
/// When it cannot.
pub fn run(arguments: &Arguments, session: &mut Session) -> Result<Exit> {
    let failed = |error: std::io::Error| CommandError::failed(format!("the service cannot work: {error}"));
    let root = session.directory.join(&arguments.root);
    let (stop, stopped) = watch::channel(false);
    let kept = match arguments.keep {
        true => Some(stop),
        false => {
            // A thread, not a task: a runtime would wait for the read of standard input before it ends.
            let listening = std::thread::Builder::new().name("demo-service-stdin".into()).spawn(move || {
                let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
                let _ = stop.send(true);
            });
            listening.map_err(failed)?;
            None
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let ready = |address: SocketAddr| session.report.line(&address.to_string());
    let served = match &arguments.haproxy {
        None => runtime.block_on(service::serve(root, stopped, ready)),
        Some(haproxy) => runtime.block_on(colours::serve(root, haproxy, stopped, ready)),
    };
    drop(kept);
    served.map(|()| Exit::Done).map_err(failed)
}
