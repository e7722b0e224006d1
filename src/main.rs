//! The program: parses the command line, runs, and says how it ended.

use std::process::ExitCode;

fn main() -> ExitCode {
    tickey::cli::main()
}
