//! The load: a process with one thread and many connections, each of which has one request in flight at most.
//!
//! In a closed loop a connection sends its next request when it has the answer to the last one. In an open loop
//! requests are due at given rates, whatever the answers do: one that is due while every connection waits for an answer
//! is held back for good, and counted, or else waits in a queue. How long an answer took is measured from when its
//! request was due, not from when the generator got round to it.
//!
//! Keys are read, and connections opened, before the clock starts. A key whose redemption was refused with 503 or 429
//! is tried again at the end, as its holder would.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep_until};

use super::Outcome;
use super::keys::{PrintedKey, read_keys};
use super::process::{Memory, cpu_seconds};
use super::ticks::Ticks;
use super::wire::{Answer, Connection, Request};

pub(crate) mod load;
pub(crate) mod order;

pub(crate) use load::Load;
use load::{Second, Tally, Times};
pub(crate) use order::{GenerateArgs, run};

/// A key that lacks its last symbol: what a slip of the mouse makes of one.
pub(crate) const MALFORMED_KEY: &str = "M9S34-6Q3D2-5VT4F-5V37E-3S3N";
/// In an open loop, how often what is due is sent.
const TICK: Duration = Duration::from_millis(1);
/// The same with a queue: as soon as a request is due, but no more often than this.
const SHORTEST_TICK: Duration = Duration::from_micros(50);

/// The role of the process that [`run`] starts.
pub(crate) fn generate(args: GenerateArgs) -> Outcome {
    let _ = tickey::lifecycle::raise_open_files_limit();
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
    /// Counts the requests that are due, in an open loop.
    due: Semaphore,
    /// When each of them was.
    due_at: RefCell<VecDeque<Instant>>,
    failed_late: Cell<usize>,
    /// Answers that do not count, by status.
    uncounted: RefCell<BTreeMap<u16, usize>>,
    /// Each second that counts.
    tallies: RefCell<Vec<Tally>>,
    last_answer: Cell<Instant>,
    from: Instant,
    until: Instant,
}

/// What a connection sends next.
enum Next {
    Malformed,
    Key(usize),
    Nothing,
}

impl Generator {
    async fn run(args: GenerateArgs) -> Outcome<Load> {
        let keys = match &args.keys {
            Some(path) => read_keys(path, args.first_key..args.first_key + args.key_count)?,
            None => Vec::new(),
        };
        let mut connections = Vec::with_capacity(args.connections);
        for address in args.addresses.iter().cycle().take(args.connections) {
            connections.push((*address, Connection::open(*address).await?));
        }
        let used = ProcessorTimes::of(&args);
        let generator = Rc::new(Self::new(args, keys));
        let (from, until) = (generator.from, generator.until);
        let mut tasks = Vec::with_capacity(connections.len() + 1);
        for (address, connection) in connections {
            tasks.push(tokio::task::spawn_local(Rc::clone(&generator).converse(address, connection)));
        }
        if generator.is_open() {
            tasks.push(tokio::task::spawn_local(Rc::clone(&generator).pace()));
        }
        let conversations = async {
            for task in tasks {
                task.await??;
            }
            Outcome::Ok(())
        };
        sleep_until(from).await;
        let (begun, before) = (Instant::now(), used.now()?);
        let (after, seconds);
        if generator.args.until_used {
            conversations.await?;
            after = used.now()?;
            seconds = generator.last_answer.get().duration_since(begun).as_secs_f64();
        } else {
            sleep_until(until).await;
            after = used.now()?;
            seconds = begun.elapsed().as_secs_f64();
            conversations.await?;
        }
        let mut spent = after.iter().zip(&before).map(|(after, before)| after - before);
        let [generator_cpu, engine_cpu] = [(); 2].map(|()| spent.next().unwrap_or_default());
        Ok(Load { seconds, generator_cpu, engine_cpu, server_cpu: spent.collect(), ..generator.sum_up() })
    }

    /// The clock starts now.
    fn new(args: GenerateArgs, keys: Vec<PrintedKey>) -> Self {
        let from = Instant::now() + Duration::from_secs(args.warm_up);
        let until = from + Duration::from_secs(args.seconds);
        Self {
            args,
            keys,
            next_key: Cell::new(0),
            again: RefCell::default(),
            due: Semaphore::new(0),
            due_at: RefCell::default(),
            failed_late: Cell::new(0),
            uncounted: RefCell::default(),
            tallies: RefCell::default(),
            last_answer: Cell::new(from),
            from,
            until,
        }
    }

    /// Whether requests are due whatever the answers do.
    fn is_open(&self) -> bool {
        !self.args.steps.is_empty()
    }

    /// One connection's requests, one after the other.
    async fn converse(self: Rc<Self>, address: SocketAddr, mut connection: Connection) -> Outcome {
        let first_key = self.keys.first().map_or(MALFORMED_KEY.as_bytes(), PrintedKey::as_slice);
        let mut request = Request::redeem(address, first_key);
        while let Some(due_at) = self.wait_until_due().await {
            let key = match self.take_key()? {
                Next::Nothing => break,
                Next::Malformed => None,
                Next::Key(index) => {
                    request.set_key(&self.keys[index]);
                    Some(index)
                }
            };
            match connection.exchange(&request).await {
                Ok(answer) => {
                    self.record(due_at, answer);
                    if let (Some(index), 429 | 503) = (key, answer.status) {
                        self.again.borrow_mut().push_back(index);
                    }
                }
                Err(_) if Instant::now() >= self.until => {
                    self.failed_late.set(self.failed_late.get() + 1);
                    break;
                }
                Err(_) => {
                    self.tally(Instant::now(), |tally| tally.failed += 1);
                    connection = Connection::open(address).await?;
                }
            }
        }
        Ok(())
    }

    /// When the next request was due, or nothing when the time is over.
    async fn wait_until_due(&self) -> Option<Instant> {
        if !self.is_open() {
            let now = Instant::now();
            return (now < self.until).then_some(now);
        }
        let queues = self.args.queue.is_some();
        // Closed when the time is over: from then on only what waits in a queue is sent.
        match self.due.acquire().await {
            Ok(permit) => permit.forget(),
            Err(_) if queues => {}
            Err(_) => return None,
        }
        let due_at = self.due_at.borrow_mut().pop_front()?;
        (queues || Instant::now() < self.until).then_some(due_at)
    }

    fn take_key(&self) -> Outcome<Next> {
        if self.keys.is_empty() {
            return Ok(Next::Malformed);
        }
        let next = self.next_key.get();
        if next < self.keys.len() {
            self.next_key.set(next + 1);
            return Ok(Next::Key(next));
        }
        match self.again.borrow_mut().pop_front() {
            Some(index) => Ok(Next::Key(index)),
            None if self.args.until_used => Ok(Next::Nothing),
            None => Err("all keys are used: measure shorter, or make more tickets".into()),
        }
    }

    fn record(&self, due_at: Instant, answer: Answer) {
        let now = Instant::now();
        let decisive = if self.args.queue.is_some() { due_at } else { now };
        if decisive < self.from || decisive >= self.until {
            *self.uncounted.borrow_mut().entry(answer.status).or_default() += 1;
            return;
        }
        self.last_answer.set(now);
        self.tally(decisive, |tally| {
            let times = tally.answers.entry(answer.status).or_default();
            times.micros.push(u32::try_from((now - due_at).as_micros()).unwrap_or(u32::MAX));
            times.with_retry_after += usize::from(answer.retry_after);
        });
    }

    /// Notes something in the second that this is in, if it counts.
    fn tally(&self, now: Instant, note: impl FnOnce(&mut Tally)) {
        if now < self.from || now >= self.until {
            return;
        }
        let second = usize::try_from((now - self.from).as_secs()).unwrap_or(usize::MAX);
        let mut tallies = self.tallies.borrow_mut();
        if tallies.len() <= second {
            tallies.resize_with(second + 1, Tally::default);
        }
        note(&mut tallies[second]);
    }

    /// Lets requests go when they are due.
    async fn pace(self: Rc<Self>) -> Outcome {
        let ticks = Ticks::every(self.tick())?;
        // A part of a request is owed until it is a whole one.
        let (mut owed, mut last) = (0.0, Instant::now());
        loop {
            ticks.next().await;
            let now = Instant::now();
            if now >= self.until {
                self.due.close();
                return Ok(());
            }
            self.hold_back(now);
            let (rate, owed_before) = (self.rate_at(now), owed);
            owed += rate * (now - last).as_secs_f64();
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "positive, and far below 2^32"
            )]
            let due = owed as u32;
            owed -= f64::from(due);
            // Evenly since the last time, which may be long ago if there was much to do.
            let whole = |place| last + Duration::from_secs_f64((f64::from(place) - owed_before) / rate);
            self.due_at.borrow_mut().extend((1..=due).map(whole));
            let due = usize::try_from(due)?;
            self.due.add_permits(due);
            self.tally(now, |tally| tally.offered += due);
            self.watch_memory(now)?;
            last = now;
        }
    }

    /// How often to look what is due.
    fn tick(&self) -> Duration {
        let highest = self.args.steps.iter().map(|step| step.rate).fold(1.0, f64::max);
        let each = Duration::from_secs_f64(1.0 / highest);
        if self.args.queue.is_some() { each.max(SHORTEST_TICK) } else { TICK }
    }

    /// Gives up what was due before and found no connection, nor a place in the queue: the latest.
    fn hold_back(&self, now: Instant) {
        let excess = self.due.available_permits().saturating_sub(self.args.queue.unwrap_or_default());
        let held_back = self.due.forget_permits(excess);
        let mut due_at = self.due_at.borrow_mut();
        let kept = due_at.len() - held_back;
        due_at.truncate(kept);
        self.tally(now, |tally| tally.held_back += held_back);
    }

    /// Requests a second that are due now; as in the beginning before anything counts.
    fn rate_at(&self, now: Instant) -> f64 {
        let mut until = self.from;
        let steps = &self.args.steps;
        let current = steps.iter().find(|step| {
            until += Duration::from_secs(step.seconds);
            now < until
        });
        current.or(steps.last()).map_or(0.0, |step| step.rate)
    }

    /// Looks at the servers' memory once a second.
    fn watch_memory(&self, now: Instant) -> Outcome {
        let mut looked = Ok(());
        self.tally(now, |tally| {
            if tally.memory == 0.0 {
                let memory = self.args.server_pids.iter().map(|pid| Ok(Memory::of(*pid)?.resident));
                looked = memory.sum::<Outcome<f64>>().map(|memory| tally.memory = memory);
            }
        });
        looked
    }

    fn sum_up(&self) -> Load {
        let mut load =
            Load { used_keys: self.next_key.get(), failed_late: self.failed_late.get(), ..Load::default() };
        load.uncounted = self.uncounted.take();
        let mut all: BTreeMap<u16, Times> = BTreeMap::new();
        for tally in self.tallies.take() {
            let Tally { offered, held_back, failed, answers, memory } = tally;
            load.held_back += held_back;
            load.failed += failed;
            for (status, times) in &answers {
                let sum = all.entry(*status).or_default();
                sum.micros.extend(&times.micros);
                sum.with_retry_after += times.with_retry_after;
            }
            let answers = answers.into_iter().map(|(status, times)| (status, times.sum_up())).collect();
            load.timeline.push(Second { offered, held_back, failed, answers, memory });
        }
        load.answers = all.into_iter().map(|(status, times)| (status, times.sum_up())).collect();
        load
    }
}

/// Whose processor time is looked at: our own, that of the engine of the store, and the servers'.
struct ProcessorTimes {
    engine: Option<u32>,
    servers: Vec<u32>,
}

impl ProcessorTimes {
    fn of(args: &GenerateArgs) -> Self {
        Self { engine: args.engine_pid, servers: args.server_pids.clone() }
    }

    fn now(&self) -> Outcome<Vec<f64>> {
        let engine = self.engine.map(cpu_seconds).transpose()?.unwrap_or_default();
        let others = [cpu_seconds(std::process::id()), Ok(engine)].into_iter();
        others.chain(self.servers.iter().map(|pid| cpu_seconds(*pid))).collect()
    }
}
