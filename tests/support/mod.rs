//! What the black-box tests share: the binary as a child process, the wire, a library of albums to give away, and the
//! key of the contract written a second time.
//!
//! Nothing here uses the program's own code, so that a mistake in it cannot hide itself by being in the tests too.

pub(crate) mod elasticsearch;
pub(crate) mod http;
pub(crate) mod key;
pub(crate) mod page;
pub(crate) mod redeemed;
pub(crate) mod server;
pub(crate) mod shop;
pub(crate) mod time;
