//! The same reads and writes without a server: what Elasticsearch can do when nobody has to be answered.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tickey::environment::{Clock as _, SystemClock};
use tickey::redemption::key::TicketId;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::super::Outcome;
use super::super::generator::load::quantiles;
use super::super::keys::{id, read_keys};
use super::super::process::cpu_seconds;
use super::cluster::{Access, Client};
use super::document::{self, Document, Found};

/// How many tickets share a request, and how many such requests are under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::Args)]
pub(crate) struct Shape {
    /// Tickets that share a request
    #[arg(long)]
    pub(crate) batch: usize,
    /// Requests under way
    #[arg(long)]
    pub(crate) workers: usize,
}

impl Shape {
    /// In a few words.
    pub(crate) fn show(self) -> String {
        format!("{} × {}", self.workers, self.batch)
    }
}

/// What to redeem, and how.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct RedeemArgs {
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    shape: Shape,
    /// A GET and a conditional PUT for each, instead of `_mget` and `_bulk`
    #[arg(long)]
    one_by_one: bool,
    /// The process of Elasticsearch
    #[arg(long)]
    engine_pid: u32,
    /// The file with the keys
    #[arg(long)]
    keys: PathBuf,
    /// The first of the keys to use
    #[arg(long)]
    first_key: usize,
    /// How many there are from there on
    #[arg(long)]
    key_count: usize,
    /// Seconds that do not count
    #[arg(long)]
    warm_up: u64,
    /// Seconds that count
    #[arg(long)]
    seconds: u64,
}

/// What came of it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Redeemed {
    /// That counted.
    pub(crate) seconds: f64,
    /// Tickets that were redeemed in them.
    pub(crate) tickets: usize,
    /// Half of the batches took less, read and write together, in milliseconds.
    pub(crate) p50: f64,
    /// 99 % of them did.
    pub(crate) p99: f64,
    /// Keys that were used, from the first one on.
    pub(crate) used_keys: usize,
    /// Processor seconds of the client.
    pub(crate) client_cpu: f64,
    /// Processor seconds of Elasticsearch.
    pub(crate) engine_cpu: f64,
}

impl Redeemed {
    /// Tickets a second.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    pub(crate) fn rate(&self) -> f64 {
        self.tickets as f64 / self.seconds
    }
}

/// What a run of the loop in a process of its own needs to know beside its shape.
pub(crate) struct Run<'a> {
    /// Who it is to Elasticsearch.
    pub(crate) access: &'a Access,
    /// The process of Elasticsearch.
    pub(crate) engine_pid: u32,
    /// The file with the keys.
    pub(crate) keys: &'a Path,
    /// The first of them, and how many there are.
    pub(crate) unused: (usize, usize),
    /// Seconds that do not count.
    pub(crate) warm_up: u64,
    /// Seconds that do.
    pub(crate) seconds: u64,
}

/// Runs the loop in a process of its own; without a shape, one ticket after the other.
pub(crate) fn run(run: &Run<'_>, shape: Option<Shape>) -> Outcome<Redeemed> {
    let mut command = run.access.role("bare")?;
    let Shape { batch, workers } = shape.unwrap_or(Shape { batch: 1, workers: 1 });
    if shape.is_none() {
        command.arg("--one-by-one");
    }
    let numbers = [
        ("--batch", batch.to_string()),
        ("--workers", workers.to_string()),
        ("--engine-pid", run.engine_pid.to_string()),
        ("--first-key", run.unused.0.to_string()),
        ("--key-count", run.unused.1.to_string()),
        ("--warm-up", run.warm_up.to_string()),
        ("--seconds", run.seconds.to_string()),
    ];
    for (name, value) in numbers {
        command.args([name, &value]);
    }
    let output = command.arg("--keys").arg(run.keys).stderr(Stdio::inherit()).output()?;
    if output.status.success() {
        Ok(serde_json::from_slice(&output.stdout)?)
    } else {
        Err(format!("the bare loop ended with {}", output.status).into())
    }
}

/// The role of the process that [`run`] starts.
pub(crate) fn redeem(args: &RedeemArgs) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let redeemed = runtime.block_on(redeem_for_a_while(args))?;
    writeln!(io::stdout(), "{}", serde_json::to_string(&redeemed)?)?;
    Ok(())
}

/// What all workers share.
struct Loop {
    client: Client,
    ids: Vec<TicketId>,
    batch: usize,
    one_by_one: bool,
    next: AtomicUsize,
    from: Instant,
    until: Instant,
}

async fn redeem_for_a_while(args: &RedeemArgs) -> Outcome<Redeemed> {
    let keys = read_keys(&args.keys, args.first_key..args.first_key + args.key_count)?;
    let ids = keys.iter().map(|key| id(key)).collect::<Outcome<Vec<_>>>()?;
    let from = Instant::now() + Duration::from_secs(args.warm_up);
    let until = from + Duration::from_secs(args.seconds);
    let shared = Arc::new(Loop {
        client: Client::new(&args.access)?,
        ids,
        batch: args.shape.batch,
        one_by_one: args.one_by_one,
        next: AtomicUsize::new(0),
        from,
        until,
    });
    let mut workers = JoinSet::new();
    for _ in 0..args.shape.workers {
        workers.spawn(Arc::clone(&shared).work());
    }
    sleep_until(from).await;
    let used =
        || -> Outcome<[f64; 2]> { Ok([cpu_seconds(std::process::id())?, cpu_seconds(args.engine_pid)?]) };
    let (begun, before) = (Instant::now(), used()?);
    sleep_until(until).await;
    let (after, seconds) = (used()?, begun.elapsed().as_secs_f64());
    let (mut tickets, mut times) = (0, Vec::new());
    while let Some(worked) = workers.join_next().await {
        let (more, more_times) = worked??;
        tickets += more;
        times.extend(more_times);
    }
    let [p50, p99] = quantiles(&mut times, [500, 990]);
    Ok(Redeemed {
        seconds,
        tickets,
        p50,
        p99,
        used_keys: shared.next.load(Ordering::Relaxed),
        client_cpu: after[0] - before[0],
        engine_cpu: after[1] - before[1],
    })
}

impl Loop {
    /// One batch after the other. Gives how many tickets were redeemed while it counted, and the microseconds of each
    /// batch.
    async fn work(self: Arc<Self>) -> Outcome<(usize, Vec<u32>)> {
        let (mut tickets, mut times) = (0, Vec::new());
        while Instant::now() < self.until {
            let first = self.next.fetch_add(self.batch, Ordering::Relaxed);
            let ids = self
                .ids
                .get(first..first + self.batch)
                .ok_or("all keys are used: measure shorter, or make more tickets")?;
            let sent = Instant::now();
            if self.one_by_one {
                self.redeem_one(&ids[0]).await?;
            } else {
                self.redeem_batch(ids).await?;
            }
            let now = Instant::now();
            if now >= self.from && now < self.until {
                tickets += ids.len();
                times.push(u32::try_from((now - sent).as_micros()).unwrap_or(u32::MAX));
            }
        }
        Ok((tickets, times))
    }

    async fn redeem_one(&self, id: &TicketId) -> Outcome {
        let mut found = document::get(&self.client, id).await?.ok_or("a ticket is not there")?;
        use_up(id, &mut found.source)?;
        let written = document::put(&self.client, id, &found).await?;
        if written { Ok(()) } else { Err("a write met a conflict".into()) }
    }

    async fn redeem_batch(&self, ids: &[TicketId]) -> Outcome {
        #[derive(Deserialize)]
        struct Docs {
            docs: Vec<Found>,
        }
        let index = &self.client.index;
        let path = format!("{index}/_mget?filter_path=docs._seq_no,docs._primary_term,docs._source");
        let answer = self.client.send(Method::POST, &path, serde_json::to_vec(&json!({"ids": ids}))?).await?;
        // A ticket that is not there has no version, which fails this.
        let mut found: Docs = serde_json::from_slice(&answer.body)
            .map_err(|error| format!("{error}: {}", String::from_utf8_lossy(&answer.body)))?;
        let mut body = Vec::with_capacity(ids.len() * 400);
        for (id, found) in ids.iter().zip(&mut found.docs) {
            use_up(id, &mut found.source)?;
            let (sequence, term) = (found.sequence, found.term);
            let action =
                format_args!("{{\"_id\":\"{id}\",\"if_seq_no\":{sequence},\"if_primary_term\":{term}}}");
            writeln!(body, "{{\"index\":{action}}}")?;
            serde_json::to_writer(&mut body, &found.source)?;
            body.push(b'\n');
        }
        write_all(&self.client, body.into(), ids.len(), 200).await
    }
}

fn use_up(id: &TicketId, ticket: &mut Document) -> Outcome {
    // As good as random, since ids are digests.
    let redemption =
        uuid::Builder::from_custom_bytes(*id.as_bytes().first_chunk().ok_or("an id is too short")?)
            .into_uuid();
    if ticket.redeem(redemption, SystemClock.now()) { Ok(()) } else { Err("a ticket was used before".into()) }
}

/// Sends a `_bulk` whose items must all be answered with this status.
async fn write_all(client: &Client, body: Bytes, items: usize, status: u16) -> Outcome {
    #[derive(Deserialize)]
    struct Answered {
        items: Vec<BTreeMap<String, Item>>,
    }
    #[derive(Deserialize)]
    struct Item {
        status: u16,
    }
    let path = format!("{}/_bulk?filter_path=items.*.status", client.index);
    let answer = client.send(Method::POST, &path, body).await?;
    let flawless = answer.status == StatusCode::OK && {
        let answered: Answered = serde_json::from_slice(&answer.body)?;
        answered.items.len() == items
            && answered.items.iter().flat_map(BTreeMap::values).all(|item| item.status == status)
    };
    if flawless {
        Ok(())
    } else {
        Err(format!("a _bulk went wrong: {}", String::from_utf8_lossy(&answer.body)).into())
    }
}

/// What the loop of new tickets inserts.
#[derive(Debug, clap::Args)]
pub(crate) struct LoadArgs {
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    shape: Shape,
    /// The file with the keys
    #[arg(long)]
    keys: PathBuf,
    /// How many there are
    #[arg(long)]
    count: usize,
}

/// Runs the loop of new tickets in a process of its own. Gives its seconds.
pub(crate) fn run_load(access: &Access, shape: Shape, keys: &Path, count: usize) -> Outcome<f64> {
    let mut command = access.role("bare-load")?;
    command.args(["--batch", &shape.batch.to_string(), "--workers", &shape.workers.to_string()]);
    command.args(["--count", &count.to_string(), "--keys"]).arg(keys);
    let output = command.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("the bare loop of new tickets ended with {}", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// The role of the process that [`run_load`] starts.
pub(crate) fn load_all(args: &LoadArgs) -> Outcome {
    let keys = read_keys(&args.keys, 0..args.count)?;
    let ids = keys.iter().map(|key| id(key)).collect::<Outcome<Vec<_>>>()?;
    let bodies = bodies(&ids, args.shape.batch)?;
    let client = Client::new(&args.access)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let begun = Instant::now();
    runtime.block_on(load(&client, bodies, args.shape.workers))?;
    writeln!(io::stdout(), "{}", begun.elapsed().as_secs_f64())?;
    Ok(())
}

/// The bodies of the requests that add these tickets, and how many each adds.
pub(crate) fn bodies(ids: &[TicketId], batch: usize) -> Outcome<Vec<(Bytes, usize)>> {
    let document = serde_json::to_string(&Document::issued(SystemClock.now()))?;
    let body = |ids: &[TicketId]| -> Outcome<(Bytes, usize)> {
        let mut body = Vec::with_capacity(ids.len() * 200);
        for id in ids {
            writeln!(body, "{{\"create\":{{\"_id\":\"{id}\"}}}}\n{document}")?;
        }
        Ok((body.into(), ids.len()))
    };
    ids.chunks(batch).map(body).collect()
}

/// Sends them, so many at a time.
pub(crate) async fn load(client: &Client, bodies: Vec<(Bytes, usize)>, workers: usize) -> Outcome {
    let (bodies, next) = (&bodies, &AtomicUsize::new(0));
    let worker = || async move {
        while let Some((body, items)) = bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
            write_all(client, body.clone(), *items, 201).await?;
        }
        Outcome::Ok(())
    };
    futures_util::future::try_join_all((0..workers).map(|_| worker())).await.map(drop)
}
