//! The contract of `tickey`, clause by clause, checked from outside: the real binary, its command line, its log and the
//! bytes on the wire.
//!
//! Every test has a server, a store and a library of its own, so that they can run side by side and in any order. The
//! sections named in the comments are those of the contract: 1 is the key, 2 the program, 3 HTTP.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test says that something is wrong by panicking, and so do its helpers"
)]

mod support;

mod contract {
    mod admin;
    mod asking;
    mod bodies;
    mod client_addresses;
    mod command_line;
    mod connections;
    mod demo;
    mod embedded_file;
    mod faults;
    mod files;
    mod files_of_keys;
    mod guessing;
    mod headers;
    mod holders;
    mod hosts;
    mod idempotency;
    mod keys;
    mod library;
    mod lifecycle;
    mod metrics;
    mod minting;
    mod negotiation;
    mod only_post;
    mod operators;
    mod other_sites;
    mod races;
    mod receipts;
    mod redeeming;
    mod refusals;
    mod secrecy;
    mod selftest;
    mod service;
    mod several_servers;
    mod tools;
    mod vanishing;
}
