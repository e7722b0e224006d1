//! The command line: one module for each subcommand.
//!
//! Exit status: 0 done, 1 failed, 2 wrong usage. A command's result goes to stdout, everything else to stderr.

use std::error::Error;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use tracing_subscriber::EnvFilter;

use outcome::{Outcome, WrongUsage};

mod album_check;
mod albums;
mod change;
mod demo;
mod doctor;
mod expiry;
mod export;
mod extend;
mod healthcheck;
mod inspect;
mod key_argument;
mod keys_csv;
mod link_keys;
mod load;
mod mint;
mod options;
mod outcome;
mod output;
mod reinstate;
mod revoke;
mod seed;
mod selftest;
mod serve;
mod server_log;
mod stats;

/// Redeems download keys: a key becomes a download, exactly once.
#[derive(Debug, Parser)]
#[command(
    name = "tickey",
    version,
    propagate_version = true,
    after_long_help = "\
Examples:
  tickey demo                                                    try it
  tickey serve --library file:/srv/albums
  tickey mint --album night-ferry --batch tour-2026 --count 500 -o keys.csv
  tickey doctor                                                  what is wrong, and what to do

`tickey help COMMAND` tells more about a command."
)]
struct Cli {
    /// What to log to stderr: a level (error, warn, info, debug), or module=level pairs. Servers log info, tools warn
    #[arg(long, global = true, env = "TICKEY_LOG", value_name = "FILTER",
        value_parser = crate::telemetry::parse_filter)]
    log: Option<EnvFilter>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Args),
    Serve(serve::Args),
    Mint(mint::Args),
    Load(load::Args),
    Inspect(inspect::Args),
    Revoke(revoke::Args),
    Reinstate(reinstate::Args),
    Extend(extend::Args),
    Stats(stats::Args),
    Export(export::Args),
    Albums(albums::Args),
    Doctor(doctor::Args),
    Selftest(selftest::Args),
    Healthcheck(healthcheck::Args),
}

/// Runs the program with the arguments of this process.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match command().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => {
            // The message repeats the user's input, which may hold terminal control characters.
            error.render().to_string().lines().for_each(output::complain);
            return ExitCode::from(WRONG_USAGE);
        }
        // Help, on request.
        Err(error) => error.exit(),
    };
    let is_server = matches!(cli.command, Command::Demo(_) | Command::Serve(_));
    let filter = cli.log.unwrap_or_else(|| EnvFilter::new(if is_server { "info" } else { LOG_OF_TOOLS }));
    let _log = crate::telemetry::start_logging(filter);
    let outcome = run(cli.command);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of our output has closed the pipe.
        Err(error) if is_broken_pipe(&*error) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(&format!("tickey: {error}"));
            if error.is::<WrongUsage>() { ExitCode::from(WRONG_USAGE) } else { ExitCode::FAILURE }
        }
    }
}

/// The command line. A variable that is set to nothing counts as not set: compose files often set such variables.
fn command() -> clap::Command {
    let is_empty =
        |arg: &clap::Arg| arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
    let heed = move |command: clap::Command| {
        command.mut_args(|arg| if is_empty(&arg) { arg.env(None::<&'static str>) } else { arg })
    };
    heed(Cli::command()).mut_subcommands(heed)
}

/// The log filter of tools: warnings, and that an index was made. A mistyped index name makes one as well.
const LOG_OF_TOOLS: &str = "warn,tickey::engine::elasticsearch::index=info";
/// Exit status of wrong usage; clap's own.
const WRONG_USAGE: u8 = 2;

fn run(command: Command) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        match command {
            Command::Demo(args) => demo::run(args).await,
            Command::Serve(args) => serve::run(args).await,
            Command::Mint(args) => mint::run(args).await,
            Command::Load(args) => load::run(args).await,
            Command::Inspect(args) => inspect::run(args).await,
            Command::Revoke(args) => revoke::run(args).await,
            Command::Reinstate(args) => reinstate::run(args).await,
            Command::Extend(args) => extend::run(args).await,
            Command::Stats(args) => stats::run(args).await,
            Command::Export(args) => export::run(args).await,
            Command::Albums(args) => albums::run(args).await,
            Command::Doctor(args) => doctor::run(args).await,
            Command::Selftest(args) => selftest::run(args).await,
            Command::Healthcheck(args) => healthcheck::run(args).await,
        }
    });
    // A blocking read of a large file must not delay the exit.
    runtime.shutdown_timeout(LAST_TASKS);
    outcome
}

/// How long blocking work that no caller waits for may continue at exit.
const LAST_TASKS: Duration = Duration::from_millis(500);

fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let of_csv = error.downcast_ref::<csv::Error>().and_then(|error| match error.kind() {
            csv::ErrorKind::Io(error) => Some(error),
            _ => None,
        });
        let of_io = error.downcast_ref::<io::Error>().or(of_csv);
        if of_io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
            return true;
        }
        next = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_every_flag_has_its_variable() {
        let mut cli = Cli::command();
        cli.build();
        cli.clone().debug_assert();
        for command in cli.get_subcommands() {
            for flag in command.get_arguments().filter(|flag| flag.get_long().is_some()) {
                let long = flag.get_long().unwrap_or_default();
                if matches!(long, "help" | "version") {
                    continue;
                }
                let mut variable = format!("TICKEY_{}", long.to_uppercase().replace('-', "_"));
                if matches!(command.get_name(), "revoke" | "reinstate" | "extend") && long == "batch" {
                    // Each its own: nothing is changed because of a variable left over from another command.
                    variable = format!("TICKEY_{}_BATCH", command.get_name().to_uppercase());
                }
                if command.get_name() == "export" && long == "output" {
                    // Nor is the file of keys of `mint` taken for the list.
                    variable = "TICKEY_EXPORT_OUTPUT".to_owned();
                }
                let found = flag.get_env().map(|name| name.to_string_lossy().into_owned());
                assert_eq!(found.as_deref(), Some(variable.as_str()), "{} --{long}", command.get_name());
                assert!(flag.get_help().is_some(), "{} --{long} has no help", command.get_name());
            }
        }
    }
}
