//! The real binary as a child process that is found by its log and never outlives its test.

use std::io::{self, BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::http::{Answer, Request, target_of};
use super::key::Key;
use super::redeemed::Redeemed;
use super::time::{PATIENCE, eventually};

/// The program under test, with nothing from the caller's environment that could change what it does.
pub(crate) fn tickey(directory: &Path) -> Command {
    clean(Command::new(env!("CARGO_BIN_EXE_tickey")), directory)
}

/// The program under test with writes past its file size limit failing instead of killing it: the limit is then a
/// full disk that a test can make and clear.
pub(crate) fn tickey_that_survives_a_full_disk(directory: &Path) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_tickey")]);
    clean(shell, directory)
}

fn clean(mut command: Command, directory: &Path) -> Command {
    command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path))).current_dir(directory);
    command
}

/// A server that is listening.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) ops_address: SocketAddr,
    log: Transcript,
    log_ends: Option<JoinHandle<io::Result<()>>>,
    printed: Transcript,
}

impl Server {
    /// Starts the command, which must be one that serves, and waits until it says in its log where it listens.
    #[track_caller]
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command
            .args(["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let (found, listening) = mpsc::channel();
        let log = Transcript::default();
        let stderr = child.stderr.take().expect("standard error is piped");
        let log_ends = log.record(stderr, move |line| {
            if let Some(addresses) = addresses(line) {
                // Nobody waits any more after the first one.
                let _ = found.send(addresses);
            }
        });
        let printed = Transcript::default();
        printed.record(child.stdout.take().expect("standard output is piped"), |_| {});
        let Ok((address, ops_address)) = listening.recv_timeout(PATIENCE) else {
            let _ = child.kill();
            panic!("it never said where it listens: {:?}\n{}", child.wait(), log.text());
        };
        Self { child, address, ops_address, log, log_ends: Some(log_ends), printed }
    }

    /// Sends a request; a connection that breaks fails the test.
    #[track_caller]
    pub(crate) fn send(&self, request: &Request) -> Answer {
        request.send(self.address).unwrap_or_else(|error| panic!("no answer: {error}\n{}", self.log()))
    }

    /// Sends a request to the listener for operators.
    #[track_caller]
    pub(crate) fn send_to_ops(&self, request: &Request) -> Answer {
        request.send(self.ops_address).unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    #[track_caller]
    pub(crate) fn get(&self, target: &str) -> Answer {
        self.send(&Request::get(target))
    }

    /// Follows a URL from an answer, whatever name it gives to this server.
    #[track_caller]
    pub(crate) fn follow(&self, url: &str) -> Answer {
        self.get(target_of(url))
    }

    /// Types in a key.
    #[track_caller]
    pub(crate) fn redeem(&self, key: &Key) -> Answer {
        self.send(&Request::redeem(&key.dashed()))
    }

    /// Types in a key that must be good.
    #[track_caller]
    pub(crate) fn redeemed(&self, key: &Key) -> Redeemed {
        Redeemed::read(&self.redeem(key), 201)
    }

    /// The same with an `Idempotency-Key`.
    #[track_caller]
    pub(crate) fn redeem_as(&self, key: &Key, idempotency_key: &str) -> Answer {
        self.send(&Request::redeem(&key.dashed()).idempotency_key(idempotency_key))
    }

    #[track_caller]
    pub(crate) fn metrics(&self) -> String {
        self.send_to_ops(&Request::get("/metrics")).expect(200).text()
    }

    /// Everything on standard error so far.
    pub(crate) fn log(&self) -> String {
        self.log.text()
    }

    /// Closes our end of the log, as when whatever collects it dies: what is written to it from then on fails.
    #[track_caller]
    pub(crate) fn hang_up_on_the_log(&self) {
        self.log.hung_up.store(true, Ordering::Relaxed);
        let log_ends = self.log_ends.as_ref().expect("nobody has waited for it");
        eventually("the log is closed", || {
            // The reader notices with the next line, whether or not this request is answered.
            let _ = Request::get("/").send(self.address);
            log_ends.is_finished().then_some(())
        });
    }

    /// Everything on standard output so far.
    pub(crate) fn printed(&self) -> String {
        self.printed.text()
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Asks it to stop, and does not wait.
    pub(crate) fn ask_to_stop(&self) {
        kill_process(self.pid(), Signal::TERM).expect("it is running");
    }

    /// Waits until it has stopped by itself.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        eventually("the server stops", || self.child.try_wait().expect("it is our child"))
    }

    /// Asks it to stop and waits until it has.
    #[track_caller]
    pub(crate) fn stop(mut self) -> ExitStatus {
        self.ask_to_stop();
        self.wait()
    }

    /// Asks it to stop and gives everything that it has ever written to standard error.
    #[track_caller]
    pub(crate) fn stop_and_read_log(mut self) -> String {
        self.ask_to_stop();
        self.wait();
        let log_ends = self.log_ends.take().expect("nobody else has waited for it");
        log_ends.join().expect("it only reads").expect("standard error can be read");
        self.log()
    }

    /// `kill -9`: it gets no chance to finish anything.
    pub(crate) fn kill(mut self) {
        self.kill_and_reap();
    }

    fn kill_and_reap(&mut self) {
        // Fails only when it has stopped already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill_and_reap();
    }
}

/// The addresses in the log line that tells them.
fn addresses(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let event: Value = serde_json::from_str(line).ok()?;
    let fields = &event["fields"];
    let address = |name: &str| fields[name].as_str()?.parse().ok();
    (fields["message"] == "listening").then_some((address("address")?, address("ops_address")?))
}

/// What a child has written, kept while it is being drained so that the child never waits for us.
#[derive(Clone, Default)]
struct Transcript {
    bytes: Arc<Mutex<Vec<u8>>>,
    hung_up: Arc<AtomicBool>,
}

impl Transcript {
    fn record(
        &self,
        source: impl Read + Send + 'static,
        mut on_line: impl FnMut(&str) + Send + 'static,
    ) -> JoinHandle<io::Result<()>> {
        let transcript = self.clone();
        thread::spawn(move || -> io::Result<()> {
            let mut source = BufReader::new(source);
            let mut line = Vec::new();
            while !transcript.hung_up.load(Ordering::Relaxed) && source.read_until(b'\n', &mut line)? > 0 {
                on_line(&String::from_utf8_lossy(&line));
                transcript.bytes.lock().unwrap_or_else(PoisonError::into_inner).append(&mut line);
            }
            Ok(())
        })
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}
