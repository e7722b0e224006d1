//! Counts what a redemption takes, and fails when it takes more than it may.
//!
//!     cargo bench --manifest-path benches/instructions/Cargo.toml
//!
//! Counts of instructions and of heap blocks are the same whatever else a machine does, which times are not. They
//! differ a little from one compiler or processor to the next, so each may be some per cent above what was counted when
//! it was set. One that is exceeded is either to be mended, or to be raised in the commit that says why.

use std::hint::black_box;

use axum::body::Body;
use axum::http::{Request, Response};
use gungraun::prelude::*;
use gungraun::{Callgrind, Dhat, DhatMetric, EventKind};
use tickey::redemption::key::{DownloadKey, KeyError, TicketId};
use tickey::redemption::link::{KeyRing, Receipt};
use tickey::redemption::ticket::{IdempotencyKey, RedemptionId};
use tickey_instructions::{Server, key, link_keys, now};

/// What something may take at most.
fn at_most(instructions: u64, heap_blocks: u64) -> LibraryBenchmarkConfig {
    let mut config = LibraryBenchmarkConfig::default();
    config
        .tool(std::mem::take(Callgrind::default().hard_limits([(EventKind::Ir, instructions)])))
        .tool(std::mem::take(Dhat::default().hard_limits([(DhatMetric::TotalBlocks, heap_blocks)])));
    config
}

// From what was typed to what the ticket is stored under.
#[library_benchmark]
#[bench::typed(args = (key(1).reveal(),), config = at_most(5_900, 0))]
fn read_key(typed: String) -> Result<TicketId, KeyError> {
    black_box(DownloadKey::parse(black_box(&typed)).map(|key| key.id()))
}

// What is written with the ticket, so that its holder can be recognised.
#[library_benchmark]
#[bench::first(args = (key(1).id(), IdempotencyKey::from_random([3; 16])), config = at_most(7_400, 0))]
fn derive_redemption_id(ticket: TicketId, idempotency_key: IdempotencyKey) -> RedemptionId {
    black_box(RedemptionId::derive(black_box(&ticket), 0, black_box(&idempotency_key)))
}

// A link to a file.
#[library_benchmark]
#[bench::one(args = (link_keys(),), config = at_most(14_000, 5))]
fn sign_link(keys: KeyRing) -> String {
    black_box(keys.sign_link(black_box("slow-tide"), black_box("01 - Harbour Lights.flac"), now(), now()))
}

// A receipt, as it stands in a URL.
#[library_benchmark]
#[bench::one(args = (link_keys(), key(1).id()), config = at_most(20_000, 3))]
fn issue_receipt(keys: KeyRing, ticket: TicketId) -> String {
    let redemption = RedemptionId::derive(&ticket, 0, &IdempotencyKey::from_random([3; 16]));
    let receipt: Receipt = keys.issue_receipt(black_box(ticket), redemption, now());
    black_box(receipt.reveal())
}

// A whole request, from the router to the answer: the log line, the metrics and the security headers included. A
// redemption runs in a task of its own, so that it ends when its client goes away; the layers of tower-http and the
// looks at `Host`, `Origin` and `Sec-Fetch-Site` are in both.
#[library_benchmark]
#[bench::redeemed(args = (), setup = Server::with_redemption, config = at_most(101_000, 44))]
#[bench::malformed(args = (), setup = Server::with_malformed_key, config = at_most(64_500, 38))]
fn answer((server, request): (Server, Request<Body>)) -> (Server, Response<Body>) {
    let answer = black_box(server.answer(black_box(request)));
    (server, answer)
}

library_benchmark_group!(
    name = steps,
    benchmarks = [read_key, derive_redemption_id, sign_link, issue_receipt]
);
library_benchmark_group!(name = requests, benchmarks = [answer]);

main!(library_benchmark_groups = [steps, requests]);
