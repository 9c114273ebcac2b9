//! The exit codes: stable, documented, and the same for every command.

use serde::{Deserialize, Serialize};

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    /// 0: done.
    Done,
    /// 1: it failed.
    Failed,
    /// 2: wrong usage, or a runbook or configuration that is not valid.
    Invalid,
    /// 3: there is nothing to release.
    NothingToRelease,
    /// 4: waiting for people, or they refused.
    Waiting,
    /// 5: releases are frozen.
    Frozen,
    /// 6: rolled back.
    RolledBack,
    /// 7: stopped half-way; it can be resumed.
    Resumable,
    /// 8: released, but a message could not be sent.
    MessageFailed,
}

impl Exit {
    /// The process's exit code.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Invalid => 2,
            Self::NothingToRelease => 3,
            Self::Waiting => 4,
            Self::Frozen => 5,
            Self::RolledBack => 6,
            Self::Resumable => 7,
            Self::MessageFailed => 8,
        }
    }
}
