//! Times versions, changelog and notes against the peers, and checks that everybody counts alike.

pub mod answer;
pub mod config;
pub mod generate;
pub mod git;
pub mod goals;
pub mod measure;
pub mod peers;
pub mod report;
pub mod rows;
pub mod session;
pub mod subject;

/// Whatever went wrong, in words.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// The result of everything here.
pub type Result<T> = std::result::Result<T, Error>;
