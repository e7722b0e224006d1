//! What the tests of stores and of their callers share. In a module of its own beside what the black-box tests share, since it uses the
//! program's own types: a store is something of the inside.

pub(crate) mod conformance;
pub(crate) mod faulty;
