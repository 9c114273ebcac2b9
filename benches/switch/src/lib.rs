//! Switches real proxies between two servers under load, and counts every request that fails.

pub mod load;
pub mod orchestrate;
pub mod report;
pub mod round;
pub mod service;

/// What a part of the bench gives, or why it could not work.
pub type Result<T> = std::result::Result<T, String>;
