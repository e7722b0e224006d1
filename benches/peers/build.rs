//! The servers of others, which are in folders beside this file, each built as its language does it. Nothing is written
//! into those folders, and what is built is kept for the next time.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::super::support::Outcome;
use super::super::support::engine::find_program;

/// Of Node's server; its dependencies are fetched anew when they differ.
const LOCK: &str = "package-lock.json";

/// The program of the server in Go.
pub(crate) fn go(folder: &Path) -> Outcome<PathBuf> {
    let program = folder.join("redeem-go");
    let mut command = Command::new(need("go", "golang-go, or https://go.dev/dl")?);
    command.args(["build", "-trimpath", "-buildvcs=false", "-o"]).arg(&program).arg(".");
    run(command.current_dir(source("go")))?;
    Ok(program)
}

/// The script of the server in Node, beside its dependencies.
pub(crate) fn node(folder: &Path) -> Outcome<PathBuf> {
    let (source, folder) = (source("node"), folder.join("node"));
    need("node", "nodejs")?;
    let npm = need("npm", "npm")?;
    fs::create_dir_all(&folder)?;
    let installed = folder.join("node_modules/.package-lock.json").exists()
        && fs::read(folder.join(LOCK)).ok() == Some(fs::read(source.join(LOCK))?);
    for entry in fs::read_dir(&source)? {
        let entry = entry?;
        // Somebody may have run npm there.
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), folder.join(entry.file_name()))?;
        }
    }
    if !installed {
        run(Command::new(npm).args(["ci", "--no-audit", "--no-fund"]).current_dir(&folder))?;
    }
    Ok(folder.join("server.js"))
}

/// The folder with the programs of the servers with axum.
pub(crate) fn axum(folder: &Path) -> Outcome<PathBuf> {
    let target = folder.join("axum");
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--release", "--locked", "--quiet", "--manifest-path"]);
    command.arg(source("axum").join("Cargo.toml")).arg("--target-dir").arg(&target);
    run(&mut command)?;
    Ok(target.join("release"))
}

/// What a program says of its version.
pub(crate) fn version(program: &str, argument: &str) -> Outcome<String> {
    let output = Command::new(program).arg(argument).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers").join(name)
}

fn need(program: &str, package: &str) -> Outcome<PathBuf> {
    find_program(program).ok_or_else(|| format!("there is no `{program}`: apt-get install {package}").into())
}

fn run(command: &mut Command) -> Outcome {
    // What it says goes where errors go, as standard output is for figures.
    let ended = command.stdin(Stdio::null()).stdout(std::io::stderr()).status()?;
    let name =
        Path::new(command.get_program()).file_name().unwrap_or(OsStr::new("a program")).to_string_lossy();
    if ended.success() { Ok(()) } else { Err(format!("{name} could not build a server: {ended}").into()) }
}
