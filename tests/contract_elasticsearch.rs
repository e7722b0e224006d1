//! The clauses of the contract that concern tickets, on Elasticsearch: the same tests as in `tests/contract.rs`, and
//! the same answers.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test says that something is wrong by panicking, and so do its helpers"
)]

#[allow(dead_code, reason = "this target uses only a part of what the tests share")]
mod support;

mod contract {
    mod guessing;
    mod idempotency;
    mod metrics;
    mod only_post;
    mod operators;
    mod races;
    mod receipts;
    mod redeeming;
    mod refusals;
    mod selftest;
    mod several_servers;
    mod tools;
    mod upgrading;
}
