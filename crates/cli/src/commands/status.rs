//! `windlass status`: how a run stands, and who must do what.

use clap::Args;
use jiff::Timestamp;

use crate::error::Result;
use crate::exit::Exit;
use crate::report::status;
use crate::runner::{Runner, Several};
use crate::session::Session;

/// Show how a run stands, and who must do what
#[derive(Debug, Args)]
pub struct Arguments {
    /// The run's name or its start [default: the only unfinished one, else the newest]
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
}

/// Shows the run.
///
/// # Errors
/// When there is no such run.
pub fn run(arguments: &Arguments, session: &mut Session) -> Result<Exit> {
    let runner = Runner::require(session)?;
    let found = runner.find(arguments.run.as_deref(), Several::Newest)?;
    let told = runner.told(&found.id)?;
    let logs = runner.logs(told.run());
    if session.report.is_json() {
        session.report.object("status", &status::data(&told, &logs));
    } else {
        for line in status::lines(&told, &logs, Timestamp::now(), session.report.out_paint) {
            session.report.line(&line);
        }
    }
    Ok(Exit::Done)
}
