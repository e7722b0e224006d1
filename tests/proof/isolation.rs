//! A place of its own for the whole proof: network, mounts and processes that nobody else sees, and of which nothing is
//! left when it ends, however it ends.

use std::env;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::process::geteuid;

/// Given to the copy of this program that runs inside.
pub(crate) const FLAG: &str = "--isolated";

/// Starts this program again, inside. Returns only what went wrong.
pub(crate) fn enter() -> String {
    let this = match env::current_exe() {
        Ok(this) => this,
        Err(error) => return format!("cannot find out which program this is: {error}"),
    };
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount", "--pid", "--fork", "--kill-child"]);
    if !geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    // Namespaces of networks are named by files, which must be ours alone.
    command.args(["--", "sh", "-c", "mount -t tmpfs proof /run && exec \"$0\" \"$@\""]);
    let error = command.arg(this).arg(FLAG).args(env::args_os().skip(1)).exec();
    format!(
        "the proof needs namespaces of its own, and `unshare` of util-linux for them: {error}. Run it as root, or \
         allow user \
         namespaces (sysctl kernel.unprivileged_userns_clone=1)"
    )
}
