//! Engines of others that keep tickets: programs that run as long as this one, and are asked by their own clients.

use std::env;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tickey::environment::{Entropy as _, SystemEntropy};
use uuid::Uuid;

use super::Outcome;

/// How long one may take to start.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long one may take to end before it is killed.
const FAREWELL: Duration = Duration::from_secs(10);
/// Between two questions whether it has.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// One that runs, and ends with this.
pub(crate) struct Engine {
    child: Child,
    name: &'static str,
    log: PathBuf,
    ends_at: Signal,
}

impl Engine {
    /// Starts it; what it says goes to a log. It is asked to end by a signal at which it does so at once, with the
    /// processes that it has started.
    pub(crate) fn start(
        name: &'static str,
        command: &mut Command,
        log: &Path,
        ends_at: Signal,
    ) -> Outcome<Self> {
        let file = File::create(log)?;
        let child = command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).spawn()?;
        Ok(Self { child, name, log: log.to_path_buf(), ends_at })
    }

    /// Waits until it answers.
    pub(crate) fn wait_until(&mut self, answers: impl Fn() -> bool) -> Outcome {
        let begun = Instant::now();
        while !answers() {
            if begun.elapsed() > PATIENCE || self.child.try_wait()?.is_some() {
                return Err(format!("{} does not start; its log is {}", self.name, self.log.display()).into());
            }
            std::thread::sleep(ASK_EVERY);
        }
        Ok(())
    }

    /// Its process, which may have started others.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // If this fails, it has ended.
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, self.ends_at);
        }
        let begun = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && begun.elapsed() < FAREWELL {
            std::thread::sleep(ASK_EVERY);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a client with this input. Gives what it says.
pub(crate) fn feed(command: &mut Command, input: &[u8]) -> Outcome<String> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut stdin = child.stdin.take().ok_or("the client has no input")?;
    // It says too little for its pipes to be full before all is written. If it gives up before, its status tells.
    let _ = stdin.write_all(input);
    drop(stdin);
    let output = child.wait_with_output()?;
    if output.status.success() {
        Ok(String::from_utf8(output.stdout)?)
    } else {
        let name = command.get_program().to_string_lossy();
        Err(format!("{name}: {} {}", output.status, String::from_utf8_lossy(&output.stderr)).into())
    }
}

/// Where a program is, according to `PATH`.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let folders = env::var_os("PATH")?;
    env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// A password for an engine of this run.
pub(crate) fn random_password() -> Outcome<String> {
    let mut random = [0; 16];
    SystemEntropy.fill(&mut random)?;
    Ok(Uuid::from_bytes(random).simple().to_string())
}
