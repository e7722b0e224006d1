//! From exec to ready, on a store with many tickets, and what the server holds when it has nothing to do.

use std::process::Command;
use std::time::Duration;

use super::super::Bench;
use super::super::support::Outcome;
use super::super::support::report::{Row, Section, Series, milliseconds};
use super::super::support::server::Server;

/// After which the memory of a server that nobody asks anything is looked at.
const IDLE: Duration = Duration::from_secs(1);

pub(crate) fn measure(bench: &Bench) -> Outcome<Section> {
    let data = bench.scratch.join("start.db");
    bench.dataset.copy_store(&data)?;
    let keys_file = bench.scratch.join("link-keys");
    let [mut ready, mut idle] = [(); 2].map(|()| Series::default());
    bench.rounds("start", || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tickey"));
        command.args(["serve", "--store", &format!("sqlite:{}", data.display())]);
        let (server, ready_after) = Server::start_program(&mut command, &keys_file)?;
        ready.push(milliseconds(ready_after));
        std::thread::sleep(IDLE);
        idle.push(server.memory()?.resident);
        Ok(())
    })?;
    Ok(Section {
        title: "Start",
        about: format!(
            "`tickey serve` on a store with {} tickets that is in the page cache, from exec to the first 200 of \
             `/readyz`, asked every \
             millisecond; the first round makes the file with the link keys.",
            bench.dataset.tickets
        ),
        rows: vec![
            Row::with_bar("ready after", ready.show(0, " ms"), "< 200 ms", ready.median() < 200.0),
            Row::with_bar("idle memory", idle.show(1, " MiB"), "< 30 MiB", idle.median() < 30.0),
        ],
    })
}
