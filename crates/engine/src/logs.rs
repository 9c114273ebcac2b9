//! The logs of items: one file each, masked, readable while the run goes on.
