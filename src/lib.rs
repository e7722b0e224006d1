//! tickey: self-hosted redemption of download keys.
//!
//! | module | what it is | may know |
//! |---|---|---|
//! | [`redemption`] | keys, tickets, links, and the use cases around them | the store's trait |
//! | [`engine`] | what stores are built on: versions, outcomes, batching | nothing of tickets |
//! | [`library`] | albums and their files | files |
//! | [`web`] | everything HTTP | all of the above |
//! | [`cli`] | the subcommands | all of the above |
//! | [`environment`], [`lifecycle`], [`telemetry`], [`disk`], `latest`, [`name`], `secret_file` | time, randomness, start, shutdown, logs, metrics, disks that may hang, looks shared by many, small files of operators | nothing of tickets |
//!
//! `ARCHITECTURE.md` has the map, the invariants, and a request followed through the code.

pub mod cli;
pub mod disk;
pub mod engine;
pub mod environment;
mod latest;
pub mod library;
pub mod lifecycle;
pub mod name;
mod outbound;
pub mod redemption;
mod secret_file;
pub mod telemetry;
pub mod web;
