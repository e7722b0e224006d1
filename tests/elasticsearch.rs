//! The Elasticsearch store against a real node, and against one behind a proxy that loses, delays and falsifies.
//!
//! That it keeps the contract of a store is tested in `tests/conformance.rs`; here is what each answer, and each
//! missing answer, of a cluster comes to.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "tests")]

#[allow(dead_code, reason = "this target uses only a part of what the tests share")]
mod support;

#[path = "support/store/mod.rs"]
#[allow(dead_code, reason = "this target uses only a part of what the tests of stores share")]
mod store;

mod elasticsearch {
    mod abandoned;
    mod access;
    mod cluster;
    mod confirmations;
    mod creating;
    mod doctor;
    mod failing_nodes;
    mod index;
    mod nodes;
    mod proxy;
    mod reads;
    mod server;
    mod world;
    mod writes;
}
