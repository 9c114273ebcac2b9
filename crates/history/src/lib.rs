//! Reads a git repository for Windlass: tags, ancestry, commits, packages. Changes nothing of it, asks no network.
//!
//! What is read is what was committed and pushed: replacements (`refs/replace`) and grafts are ignored, so that
//! every clone decides alike. The commit-graph is used where git has written one.

mod ancestry;
mod bloom;
mod error;
mod file;
mod id;
mod kept;
mod message;
mod nodes;
mod open;
mod packs;
mod paths;
mod range;
mod recent;
mod releases;
mod stream;
mod tags;

pub use ancestry::Ancestry;
pub use error::{HistoryError, Result};
pub use id::Id;
pub use open::History;
pub use paths::PathFilter;
pub use range::Range;
pub use releases::Section;
pub use stream::{CommitsByPackage, Stream};
pub use tags::Tag;
