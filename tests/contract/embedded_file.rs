//! The file of the embedded store: whose it is.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::support::server::Server;
use crate::support::shop::{Outcome, Shop};

/// The program under an umask.
fn tickey_with_umask(umask: &str, folder: &Path) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_tickey")]);
    shell.env_clear().current_dir(folder);
    shell
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).permissions().mode()
        & 0o777
}

/// It says who has redeemed what and when, so it is nobody else's business on a machine with several users.
#[test]
fn the_store_is_its_owners_alone_whatever_the_umask() {
    for umask in ["000", "022", "077"] {
        let shop = Shop::new();
        let server = Server::start(shop.serve_command(tickey_with_umask(umask, shop.folder()), &[]));
        server.redeemed(&shop.ticket());
        for name in ["tickets.db", "tickets.db-wal", "tickets.db-shm", "link-keys"] {
            assert_eq!(mode(&shop.folder().join(name)), 0o600, "{name} with umask {umask}");
        }
    }
}

/// Others may have been given rights for a reason, a backup for one. The doctor says so; that they can write is a
/// fault.
#[test]
fn a_store_that_is_there_keeps_its_rights_and_the_doctor_tells_of_them() {
    let shop = Shop::new();
    shop.tickets(1);
    let store = shop.folder().join("tickets.db");
    for (rights, status) in [(0o600, 0), (0o640, 0), (0o666, 1)] {
        fs::set_permissions(&store, Permissions::from_mode(rights)).expect("our own file");
        shop.tickets(1);
        assert_eq!(mode(&store), rights);
        let told: Outcome = shop.tool(&["doctor"]).expect(status);
        let says = told.all();
        assert_eq!(says.contains(&format!("(mode {rights:o})")), rights != 0o600, "{says}");
        assert_eq!(says.contains("chmod 600"), rights != 0o600, "{says}");
    }
}
