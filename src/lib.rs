//! tickey: self-hosted redemption of download keys.
//!
//! | module | what it is | may know |
//! |---|---|---|
//! | [`redemption`] | keys, tickets, links, and the use cases around them | the store's trait |
//! | [`store`] | where tickets live: contract, stores, conformance suite | tickets |
//! | [`library`] | albums and their files | files |
//! | [`report`] | what is told about tickets to whoever issued them | tickets |
//! | [`web`] | everything HTTP | all of the above |
//! | [`cli`] | the subcommands | all of the above |
//! | [`environment`], [`lifecycle`], [`telemetry`] | time, randomness, start, shutdown, logs, metrics | nothing of tickets |
//!
//! `ARCHITECTURE.md` has the map, the invariants, and a request followed through the code.

pub mod cli;
pub mod environment;
pub mod library;
pub mod lifecycle;
mod outbound;
pub mod redemption;
pub mod report;
pub mod store;
pub mod telemetry;
pub mod web;
