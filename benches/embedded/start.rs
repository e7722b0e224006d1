//! From exec to ready, on a store with many tickets, and what the server holds when it has nothing to do.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::super::Bench;
use super::super::support::Outcome;
use super::super::support::process::{Memory, free_address};
use super::super::support::report::{Row, Section, Series, milliseconds};

/// How long a start may take before it is given up.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two questions whether it is ready.
const ASK_EVERY: Duration = Duration::from_millis(1);
/// After which the memory of a server that nobody asks anything is looked at.
const IDLE: Duration = Duration::from_secs(1);

pub(crate) fn measure(bench: &Bench) -> Outcome<Section> {
    let data = bench.scratch.join("start.db");
    bench.dataset.copy_store(&data)?;
    let keys_file = bench.scratch.join("link-keys");
    let [mut ready, mut idle] = [(); 2].map(|()| Series::default());
    bench.rounds("start", || {
        let (address, ops_address) = (free_address()?, free_address()?);
        let mut command = Command::new(env!("CARGO_BIN_EXE_tickey"));
        command
            .args(["serve", "--listen", &address.to_string(), "--ops-listen", &ops_address.to_string()])
            .args(["--store", &format!("sqlite:{}", data.display())])
            .arg("--link-keys-file")
            .arg(&keys_file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let begun = Instant::now();
        let server = Running(command.spawn()?);
        while !is_ready(address) {
            if begun.elapsed() > PATIENCE {
                return Err("the server does not get ready".into());
            }
            std::thread::sleep(ASK_EVERY);
        }
        ready.push(milliseconds(begun.elapsed()));
        std::thread::sleep(IDLE);
        idle.push(Memory::of(server.0.id())?.resident);
        Ok(())
    })?;
    Ok(Section {
        title: "Start",
        about: format!(
            "`tickey serve` on a store with {} tickets that is in the page cache, from exec to the first 200 of `/readyz`, asked every \
             millisecond; the first round makes the file with the link keys.",
            bench.dataset.tickets
        ),
        rows: vec![
            Row::with_bar("ready after", ready.show(0, " ms"), "< 200 ms", ready.median() < 200.0),
            Row::with_bar("idle memory", idle.show(1, " MiB"), "< 30 MiB", idle.median() < 30.0),
        ],
    })
}

/// Ends with the value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already, or there is nothing more to do about it.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn is_ready(address: SocketAddr) -> bool {
    let asked = TcpStream::connect(address).and_then(|mut stream| {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut start = [0; 12];
        stream.read_exact(&mut start)?;
        Ok(start)
    });
    asked.is_ok_and(|start| start.ends_with(b" 200"))
}
