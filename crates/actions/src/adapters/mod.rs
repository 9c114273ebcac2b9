//! What the actions act through. Nothing here knows an action.

pub mod elasticsearch;
pub mod files;
pub mod forge;
pub mod git;
pub mod http;
pub mod loki;
pub mod prometheus;
pub mod proxy;
pub mod registry;
pub mod remote;
pub mod shell;
pub mod ssh;
