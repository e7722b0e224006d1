//! What the tools ask on a terminal, here one that `script` (util-linux) makes.

use std::process::{Command, Stdio};

use crate::support::key::Key;
use crate::support::server::tickey;
use crate::support::shop::{Outcome, Shop, Ticket};

/// Runs the tool on a terminal of its own, where this is typed.
fn on_a_terminal(shop: &Shop, arguments: &str, typed: &str) -> String {
    let binary = tickey(shop.folder());
    let line = format!("{} {arguments}; echo status=$?", binary.get_program().display());
    let mut command = Command::new("script");
    command.args(["--quiet", "--flush", "--command", &line, "/dev/null"]).current_dir(shop.folder());
    command.env("TICKEY_STORE", shop.store()).env("TERM", "dumb").stderr(Stdio::null());
    Outcome::of(command, typed).stdout
}

#[test]
fn on_a_terminal_a_batch_is_asked_about_before_it_is_revoked() {
    let shop = Shop::new();
    let server = shop.serve();
    let keys: Vec<Key> = (0..2).map(|_| shop.ticket_with(|key| Ticket::new(key).of_batch("tour"))).collect();
    let refused = on_a_terminal(&shop, "revoke --batch tour", "n\n");
    assert!(refused.contains("has 2 tickets") && refused.contains("[y/N]"), "{refused}");
    assert!(refused.contains("nothing was revoked") && refused.contains("status=1"), "{refused}");
    server.redeemed(&keys[0]);
    let agreed = on_a_terminal(&shop, "revoke --batch tour", "y\n");
    assert!(agreed.contains("2 tickets revoked") && agreed.contains("status=0"), "{agreed}");
    server.redeem(&keys[0]).problem(410, "revoked");
    let one = shop.ticket_with(|key| Ticket::new(key).of_batch("single"));
    let alone = on_a_terminal(&shop, "revoke --batch single", "");
    assert!(!alone.contains("[y/N]") && alone.contains("1 ticket revoked"), "{alone}");
    server.redeem(&one).problem(410, "revoked");
    shop.ticket_with(|key| Ticket::new(key).of_batch("sure"));
    shop.ticket_with(|key| Ticket::new(key).of_batch("sure"));
    let sure = on_a_terminal(&shop, "revoke --batch sure --yes", "");
    assert!(!sure.contains("[y/N]") && sure.contains("2 tickets revoked"), "{sure}");
}
