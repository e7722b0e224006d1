//! The core of this program: a key becomes a download, exactly once.
//!
//! [`key`], [`ticket`], [`link`], [`mint`] and [`csv`] are pure: no I/O, no async, no clock, no randomness of their
//! own. [`redeem`], [`holder`], [`change`], [`count`], [`create`] and [`issue`] are the use cases; they know the
//! [store] by its trait alone, and no HTTP. [`report`] and [`metrics`] describe tickets to operators. [`web`] is the
//! interface for people and programs, and knows all of it.

pub mod change;
pub mod count;
pub mod create;
pub mod csv;
pub mod holder;
pub mod issue;
pub mod key;
pub mod link;
pub mod metrics;
pub mod mint;
pub mod redeem;
pub mod report;
pub mod store;
pub mod ticket;
pub mod web;
pub mod write;
