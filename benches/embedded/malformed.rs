//! What a key costs that cannot be one: the store must not hear of it.

use super::super::Bench;
use super::super::support::Outcome;
use super::super::support::embedded::{self, Variant};
use super::super::support::generator::{self, GenerateArgs, Load, MALFORMED_KEY};
use super::super::support::report::{Row, Section, Series};
use super::super::support::server::Server;
use super::super::support::wire::IN_FLIGHT;

/// What such a key is answered with.
const UNPROCESSABLE: u16 = 422;

pub(crate) fn measure(bench: &Bench) -> Outcome<Section> {
    let data = bench.scratch.join("malformed.db");
    let ours = embedded::on_store(Variant::Batched, &data)?;
    let example = ours.ask(MALFORMED_KEY.as_bytes())?;
    let nothing = embedded::of_nothing(&bench.scratch.join("malformed-nothing.db"), example)?;
    let load = |server: &Server| -> Outcome<Load> {
        let load = generator::run(&GenerateArgs {
            addresses: vec![server.address],
            server_pids: vec![server.pid()],
            engine_pid: None,
            connections: IN_FLIGHT,
            steps: Vec::new(),
            queue: None,
            warm_up: bench.options.warm_up,
            seconds: bench.options.seconds,
            until_used: false,
            keys: None,
            first_key: 0,
            key_count: 0,
        })?;
        load.only(UNPROCESSABLE)?;
        Ok(load)
    };
    let [mut refused, mut answered, mut refusing_cores, mut answering_cores, mut generator_cores] =
        [(); 5].map(|()| Series::default());
    bench.rounds("malformed", || {
        let (one, other) = (load(&ours)?, load(&nothing)?);
        refused.push(one.rate(UNPROCESSABLE));
        answered.push(other.rate(UNPROCESSABLE));
        refusing_cores.push(one.server_cores());
        answering_cores.push(other.server_cores());
        generator_cores.push(other.generator_cores());
        Ok(())
    })?;
    let ratio = refused.over(&answered);
    Ok(Section {
        title: "Malformed keys",
        about: format!(
            "A key with 24 symbols, {IN_FLIGHT} requests in flight, answered with 422 and problem details ({} bytes); \
             the handler that \
             does nothing answers with the same status and as many bytes.",
            example.body_bytes
        ),
        rows: vec![
            Row::plain("malformed keys", refused.show(0, " /s")),
            Row::plain("a handler that does nothing", answered.show(0, " /s")),
            Row::plain(
                "— processors of the two servers, of the generator",
                format!(
                    "{:.2}, {:.2}, {:.2}",
                    refusing_cores.median(),
                    answering_cores.median(),
                    generator_cores.median()
                ),
            ),
            Row::with_bar("malformed / doing nothing", ratio.show_percent(), "≥ 90 %", ratio.median() >= 0.9),
        ],
    })
}
