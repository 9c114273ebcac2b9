//! Durable execution of plans. Knows no concrete action: they come in as an [`action::ActionSet`].
//!
//! [`durable::Durable`] is the narrow trait that the [`interpreter`] walks a plan over; [`embedded::Embedded`] is the
//! engine behind it that needs nothing but a [`journal::Journal`].

pub mod action;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod context;
pub mod drive;
pub mod durable;
pub mod embedded;
pub mod interpreter;
pub mod journal;
pub mod logs;
pub mod mask;
pub mod owner;
pub mod process;
pub mod scratch;
pub mod undo;
