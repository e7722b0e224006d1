//! Disks that may hang: calls to them away from the runtime's threads, and open files. Knows nothing of what is in
//! those.

mod file;
mod lane;

pub use file::{DiskFile, ReadError};
pub(crate) use file::{IS_LINK, Stamp, open_regular, stamp_of};
pub(crate) use lane::{Hung, Lane, PATIENCE, Threads};
