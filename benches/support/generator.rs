//! The load: a process with one thread and many connections, each of which has one request in flight at most.
//!
//! In a closed loop a connection sends its next request when it has the answer to the last one. In an open loop requests
//! are due at a fixed rate, whatever the answers do. One that is due while every connection waits for an answer is held
//! back for good, and counted. Or else, with a queue, it is sent as soon as a connection is free, and all times are measured
//! from when requests were due: what waits for a slow server waits for its answer ("coordinated omission" would leave it out).
//!
//! Keys are read, and connections opened, before the clock starts. A key whose redemption was refused with 503 or 429 is
//! tried again at the end, as its holder would.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep_until};

use super::Outcome;
use super::keys::{PrintedKey, read_keys};
use super::process::cpu_seconds;
use super::ticks::Ticks;
use super::wire::{Answer, Connection, Request};

/// A key that lacks its last symbol: what a slip of the mouse makes of one.
pub(crate) const MALFORMED_KEY: &str = "M9S34-6Q3D2-5VT4F-5V37E-3S3N";
/// In an open loop, how often what is due is sent, and what nobody has sent is held back.
const TICK: Duration = Duration::from_millis(1);
/// The same at most, where a request is sent when it is due.
const SHORTEST_TICK: Duration = Duration::from_micros(50);

/// What to send, where to, and how long.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct GenerateArgs {
    /// The server
    #[arg(long)]
    pub(crate) address: SocketAddr,
    /// Its process, for its share of the processors
    #[arg(long)]
    pub(crate) server_pid: u32,
    /// The process of the engine that keeps its store, if that is another one
    #[arg(long)]
    pub(crate) engine_pid: Option<u32>,
    /// Requests in flight, at most
    #[arg(long)]
    pub(crate) connections: usize,
    /// Requests a second, in an open loop; without it the loop is closed
    #[arg(long)]
    pub(crate) rate: Option<f64>,
    /// Requests that may wait for a connection, in an open loop; without it none does
    #[arg(long)]
    pub(crate) queue: Option<usize>,
    /// Seconds that do not count
    #[arg(long)]
    pub(crate) warm_up: u64,
    /// Seconds that count
    #[arg(long)]
    pub(crate) seconds: u64,
    /// The file with the keys; without it one malformed key is sent
    #[arg(long)]
    pub(crate) keys: Option<PathBuf>,
    /// The first of the keys to use
    #[arg(long, default_value_t = 0)]
    pub(crate) first_key: usize,
    /// How many there are from there on
    #[arg(long, default_value_t = 0)]
    pub(crate) key_count: usize,
}

/// What came of it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Load {
    /// That counted.
    pub(crate) seconds: f64,
    /// Answers by status.
    pub(crate) answers: BTreeMap<u16, Answers>,
    /// Requests that were due while all connections were busy, and the queue was full.
    pub(crate) held_back: usize,
    /// Requests that got no answer.
    pub(crate) failed: usize,
    /// Answers by status that came before or after the seconds that count.
    pub(crate) uncounted: BTreeMap<u16, usize>,
    /// Requests that got no answer after those seconds.
    pub(crate) failed_late: usize,
    /// Keys that were used, from the first one on.
    pub(crate) used_keys: usize,
    /// Processor seconds of the generator.
    pub(crate) generator_cpu: f64,
    /// Processor seconds of the server.
    pub(crate) server_cpu: f64,
    /// Processor seconds of the engine that keeps its store.
    pub(crate) engine_cpu: f64,
}

/// Answers with one status.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Answers {
    /// How many.
    pub(crate) count: usize,
    /// How many of them had `Retry-After`.
    pub(crate) with_retry_after: usize,
    /// Half of them came sooner, in milliseconds.
    pub(crate) p50: f64,
    /// 99 % of them did.
    pub(crate) p99: f64,
    /// 99.9 % of them did.
    pub(crate) p999: f64,
}

impl Load {
    /// Answers a second with this status.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    pub(crate) fn rate(&self, status: u16) -> f64 {
        self.answers.get(&status).map_or(0.0, |answers| answers.count as f64) / self.seconds
    }

    /// The same, when all answers must have that status.
    pub(crate) fn only(&self, status: u16) -> Outcome<&Answers> {
        match self.answers.get(&status) {
            Some(answers) if self.answers.len() == 1 && self.is_flawless(status) => Ok(answers),
            _ => Err(format!("not all answers were {status}: {self:?}").into()),
        }
    }

    fn is_flawless(&self, status: u16) -> bool {
        self.failed == 0
            && self.failed_late == 0
            && self.uncounted.keys().all(|uncounted| *uncounted == status)
    }

    /// All answers with this status, also those that do not count.
    pub(crate) fn total(&self, status: u16) -> usize {
        self.answers.get(&status).map_or(0, |answers| answers.count)
            + self.uncounted.get(&status).copied().unwrap_or_default()
    }

    /// Processors that the server kept busy.
    pub(crate) fn server_cores(&self) -> f64 {
        self.server_cpu / self.seconds
    }

    /// Processors that the generator kept busy.
    pub(crate) fn generator_cores(&self) -> f64 {
        self.generator_cpu / self.seconds
    }

    /// Processors that the engine of the store kept busy.
    pub(crate) fn engine_cores(&self) -> f64 {
        self.engine_cpu / self.seconds
    }
}

/// Runs the load in a process of its own.
pub(crate) fn run(args: &GenerateArgs) -> Outcome<Load> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("generate");
    command.args(["--address", &args.address.to_string()]);
    command.args(["--server-pid", &args.server_pid.to_string()]);
    command.args(["--connections", &args.connections.to_string()]);
    command.args(["--warm-up", &args.warm_up.to_string(), "--seconds", &args.seconds.to_string()]);
    if let Some(pid) = args.engine_pid {
        command.args(["--engine-pid", &pid.to_string()]);
    }
    if let Some(rate) = args.rate {
        command.args(["--rate", &rate.to_string()]);
    }
    if let Some(queue) = args.queue {
        command.args(["--queue", &queue.to_string()]);
    }
    if let Some(keys) = &args.keys {
        command.arg("--keys").arg(keys);
        command.args(["--first-key", &args.first_key.to_string()]);
        command.args(["--key-count", &args.key_count.to_string()]);
    }
    let output = command.stderr(Stdio::inherit()).output()?;
    if output.status.success() {
        Ok(serde_json::from_slice(&output.stdout)?)
    } else {
        Err(format!("the load generator ended with {}", output.status).into())
    }
}

/// The role of the process that [`run`] starts.
pub(crate) fn generate(args: GenerateArgs) -> Outcome {
    tickey::lifecycle::raise_open_files_limit();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let load = LocalSet::new().block_on(&runtime, Generator::run(args))?;
    writeln!(io::stdout(), "{}", serde_json::to_string(&load)?)?;
    Ok(())
}

/// What all connections share.
struct Generator {
    args: GenerateArgs,
    keys: Vec<PrintedKey>,
    next_key: Cell<usize>,
    /// Indexes of keys to try again.
    again: RefCell<VecDeque<usize>>,
    /// When requests were due that nobody has sent, in an open loop.
    waiting: RefCell<VecDeque<Instant>>,
    /// As many, for connections to wait for. A connection that was promised one has not taken it before its next turn.
    due: Semaphore,
    held_back: Cell<usize>,
    failed: Cell<usize>,
    failed_late: Cell<usize>,
    /// Answers that do not count, by status.
    uncounted: RefCell<BTreeMap<u16, usize>>,
    /// Microseconds of each answer that counts, by status; and how many said when to try again.
    answers: RefCell<BTreeMap<u16, (Vec<u32>, usize)>>,
    from: Instant,
    until: Instant,
}

impl Generator {
    async fn run(args: GenerateArgs) -> Outcome<Load> {
        let keys = match &args.keys {
            Some(path) => read_keys(path, args.first_key..args.first_key + args.key_count)?,
            None => Vec::new(),
        };
        let mut connections = Vec::with_capacity(args.connections);
        for _ in 0..args.connections {
            connections.push(Connection::open(args.address).await?);
        }
        let from = Instant::now() + Duration::from_secs(args.warm_up);
        let until = from + Duration::from_secs(args.seconds);
        let used = ProcessorTimes::of(&args);
        let generator = Rc::new(Self {
            args,
            keys,
            next_key: Cell::new(0),
            again: RefCell::default(),
            waiting: RefCell::default(),
            due: Semaphore::new(0),
            held_back: Cell::new(0),
            failed: Cell::new(0),
            failed_late: Cell::new(0),
            uncounted: RefCell::default(),
            answers: RefCell::default(),
            from,
            until,
        });
        let mut tasks = Vec::with_capacity(connections.len() + 1);
        for connection in connections {
            tasks.push(tokio::task::spawn_local(Rc::clone(&generator).converse(connection)));
        }
        if let Some(rate) = generator.args.rate {
            tasks.push(tokio::task::spawn_local(Rc::clone(&generator).pace(rate)));
        }
        sleep_until(from).await;
        let (begun, before) = (Instant::now(), used.now()?);
        sleep_until(until).await;
        let (after, seconds) = (used.now()?, begun.elapsed().as_secs_f64());
        for task in tasks {
            task.await??;
        }
        let [server_cpu, generator_cpu, engine_cpu] = [0, 1, 2].map(|who| after[who] - before[who]);
        Ok(Load { seconds, generator_cpu, server_cpu, engine_cpu, ..generator.sum_up() })
    }

    /// One connection's requests, one after the other.
    async fn converse(self: Rc<Self>, mut connection: Connection) -> Outcome {
        let mut request = Request::redeem(self.args.address, MALFORMED_KEY.as_bytes());
        if let Some(key) = self.keys.first() {
            request = Request::redeem(self.args.address, key);
        }
        while let Some(begun) = self.next_request().await {
            let key = self.take_key()?;
            if let Some(index) = key {
                request.set_key(&self.keys[index]);
            }
            match connection.exchange(&request).await {
                Ok(answer) => {
                    self.record(begun, answer);
                    if let (Some(index), 429 | 503) = (key, answer.status) {
                        self.again.borrow_mut().push_back(index);
                    }
                }
                Err(_) if Instant::now() >= self.until => {
                    self.failed_late.set(self.failed_late.get() + 1);
                    break;
                }
                Err(_) => {
                    self.failed.set(self.failed.get() + 1);
                    connection = Connection::open(self.args.address).await?;
                }
            }
        }
        Ok(())
    }

    /// Waits until a request is to be sent, and gives when its time begins to count; `None` when there is no other.
    async fn next_request(&self) -> Option<Instant> {
        if self.args.rate.is_some() {
            // Closed when the time is over: from then on only what waits is sent.
            match self.due.acquire().await {
                Ok(permit) => permit.forget(),
                Err(_) if self.args.queue.is_none() => return None,
                Err(_) => {}
            }
            let was_due = self.waiting.borrow_mut().pop_front();
            if self.args.queue.is_some() {
                return was_due;
            }
        }
        Some(Instant::now()).filter(|now| *now < self.until)
    }

    fn take_key(&self) -> Outcome<Option<usize>> {
        if self.keys.is_empty() {
            return Ok(None);
        }
        let next = self.next_key.get();
        if next < self.keys.len() {
            self.next_key.set(next + 1);
            return Ok(Some(next));
        }
        let again = self.again.borrow_mut().pop_front();
        again.map(Some).ok_or_else(|| "all keys are used: measure shorter, or make more tickets".into())
    }

    fn record(&self, begun: Instant, answer: Answer) {
        let now = Instant::now();
        // With a queue, those count that were due while it counted, however late the answer.
        let decisive = if self.args.queue.is_some() { begun } else { now };
        if decisive < self.from || decisive >= self.until {
            *self.uncounted.borrow_mut().entry(answer.status).or_default() += 1;
            return;
        }
        let micros = u32::try_from((now - begun).as_micros()).unwrap_or(u32::MAX);
        let mut answers = self.answers.borrow_mut();
        let (times, with_retry_after) = answers.entry(answer.status).or_default();
        times.push(micros);
        *with_retry_after += usize::from(answer.retry_after);
    }

    /// Lets requests go at a fixed rate.
    async fn pace(self: Rc<Self>, rate: f64) -> Outcome {
        let each = Duration::from_secs_f64(1.0 / rate);
        let ticks = Ticks::every(if self.args.queue.is_some() { each.max(SHORTEST_TICK) } else { TICK })?;
        let begun = Instant::now();
        let mut next = begun + each;
        loop {
            ticks.next().await;
            let now = Instant::now();
            if now >= self.until {
                self.due.close();
                return Ok(());
            }
            let held_back = self.hold_back();
            if now >= self.from {
                self.held_back.set(self.held_back.get() + held_back);
            }
            while next <= now {
                self.waiting.borrow_mut().push_back(next);
                self.due.add_permits(1);
                next += each;
            }
        }
    }

    /// Gives up what is due and has no place in the queue: the latest. Says how much.
    fn hold_back(&self) -> usize {
        let excess = self.due.available_permits().saturating_sub(self.args.queue.unwrap_or_default());
        let held_back = self.due.forget_permits(excess);
        let mut waiting = self.waiting.borrow_mut();
        let left = waiting.len() - held_back;
        waiting.truncate(left);
        held_back
    }

    fn sum_up(&self) -> Load {
        let answers = self.answers.take().into_iter().map(|(status, (mut times, with_retry_after))| {
            let [p50, p99, p999] = quantiles(&mut times, [500, 990, 999]);
            (status, Answers { count: times.len(), with_retry_after, p50, p99, p999 })
        });
        Load {
            answers: answers.collect(),
            held_back: self.held_back.get(),
            failed: self.failed.get(),
            uncounted: self.uncounted.take(),
            failed_late: self.failed_late.get(),
            used_keys: self.next_key.get(),
            ..Load::default()
        }
    }
}

/// Milliseconds within which so many of a thousand times are, which are in microseconds.
pub(crate) fn quantiles<const N: usize>(times: &mut [u32], per_mille: [usize; N]) -> [f64; N] {
    times.sort_unstable();
    per_mille.map(|share| {
        let index = (times.len() * share / 1000).min(times.len().saturating_sub(1));
        times.get(index).map_or(0.0, |micros| f64::from(*micros) / 1000.0)
    })
}

/// Whose processor time is looked at: the server's, our own, and that of the engine of the store.
struct ProcessorTimes {
    server: u32,
    engine: Option<u32>,
}

impl ProcessorTimes {
    fn of(args: &GenerateArgs) -> Self {
        Self { server: args.server_pid, engine: args.engine_pid }
    }

    fn now(&self) -> Outcome<[f64; 3]> {
        let engine = self.engine.map(cpu_seconds).transpose()?.unwrap_or_default();
        Ok([cpu_seconds(self.server)?, cpu_seconds(std::process::id())?, engine])
    }
}
