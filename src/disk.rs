//! Disks that may hang: calls to them run outside the runtime's threads; open files. Knows nothing of file contents.

mod file;
mod lane;

pub use file::{DiskFile, ReadError};
pub(crate) use file::{IS_LINK, Stamp, open_regular, stamp_of};
pub(crate) use lane::{Hung, Lane, PATIENCE, Threads};
