//! What the tests of stores and of their callers share. In a module of its own beside what the black-box tests share,
//! since it uses the program's own types: a store is something of the inside.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "tests")]

pub(crate) mod conformance;
pub(crate) mod faulty;
