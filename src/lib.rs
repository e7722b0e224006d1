//! tickey: self-hosted redemption of download keys.
//!
//! | module | what it is | may know |
//! |---|---|---|
//! | [`client`], [`environment`], [`telemetry`] | client addresses; time, randomness; logs, metrics | nothing below |
//! | [`lifecycle`] | connections, their shares and pace; start and shutdown | the above |
//! | [`disk`], `latest`, [`name`], `secret_file` | disks that may hang, shared looks, names, secrets | nothing below |
//! | [`engine`] | the base of stores: versions, outcomes, batching | nothing below |
//! | [`web`] | the common parts of the HTTP interface | the above |
//! | [`library`] | albums and their files | the general modules |
//! | [`redemption`] | keys, tickets, links; their use cases, store, routes and pages | the above |
//! | [`cli`] | the subcommands | all of the above |
//!
//! `ARCHITECTURE.md` has the map, the invariants, and a request followed through the code.

pub mod cli;
pub mod client;
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
