//! Section 2: "every flag has an environment variable `TICKEY_…` and `--help` names both. Exit status: 0 done, 1
//! failed, 2 wrong usage."

use crate::support::server::tickey;
use crate::support::shop::{Outcome, Shop};

/// All but `cards`, which makes print and not redemptions.
const SUBCOMMANDS: [&str; 12] = [
    "demo",
    "serve",
    "mint",
    "load",
    "inspect",
    "revoke",
    "reinstate",
    "extend",
    "stats",
    "export",
    "albums",
    "doctor",
];

#[test]
fn help_and_version_are_done_with_status_0() {
    let shop = Shop::new();
    let help = shop.tool(&["--help"]).expect(0);
    for subcommand in SUBCOMMANDS {
        assert!(
            help.stdout.lines().any(|line| line.trim_start().starts_with(subcommand)),
            "{subcommand} is not named"
        );
        assert!(!shop.tool(&[subcommand, "--help"]).expect(0).stdout.is_empty());
    }
    assert!(shop.tool(&["--version"]).expect(0).stdout.contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn every_flag_of_every_subcommand_names_its_environment_variable() {
    let shop = Shop::new();
    for subcommand in SUBCOMMANDS {
        let help = shop.tool(&[subcommand, "--help"]).expect(0).stdout;
        let flags = flags(&help);
        assert!(!flags.is_empty(), "{subcommand} has no flags at all: {help}");
        for (flag, description) in flags {
            assert!(
                description.contains("[env: TICKEY_"),
                "{subcommand} {flag} names no variable: {description}"
            );
        }
    }
}

/// Each flag of a help text with everything that is said about it, less the two that clap adds.
fn flags(help: &str) -> Vec<(String, String)> {
    let mut flags: Vec<(String, String)> = Vec::new();
    for line in help.lines() {
        if line.trim_start().starts_with('-') {
            flags.push((line.trim().to_owned(), String::new()));
        } else if !line.starts_with(' ') && !line.is_empty() {
            // A heading, or text before the flags: it belongs to none.
            flags.push((String::new(), String::new()));
        }
        if let Some((_, description)) = flags.last_mut() {
            description.push_str(line.trim());
            description.push(' ');
        }
    }
    let long_name =
        |flag: &str| flag.split([' ', ',', '=', '[']).find(|word| word.starts_with("--")).map(str::to_owned);
    flags
        .into_iter()
        .filter_map(|(flag, description)| Some((long_name(&flag)?, description)))
        .filter(|(flag, _)| flag != "--help" && flag != "--version")
        .collect()
}

/// The variable does what the flag does, and the flag has the last word.
#[test]
fn a_variable_stands_in_for_its_flag() {
    let shop = Shop::new();
    let key = shop.ticket();
    let stats = |flags: &[&str], variable: &str| {
        let mut command = tickey(shop.folder());
        command.arg("stats").args(flags).env("TICKEY_STORE", variable);
        Outcome::of(command, "")
    };
    let by_variable = stats(&["--json"], &shop.store()).expect(0);
    assert_eq!(
        by_variable.stdout,
        stats(&["--json", "--store", &shop.store()], "sqlite:/nowhere/at/all").expect(0).stdout
    );
    shop.serve_with(&[]).redeemed(&key);
    assert_ne!(by_variable.stdout, stats(&["--json"], &shop.store()).expect(0).stdout);
}

#[test]
fn wrong_usage_has_status_2() {
    let shop = Shop::new();
    let wrong: [&[&str]; 22] = [
        &[],
        &["no-such-command"],
        &["serve", "--no-such-flag"],
        &["serve", "surplus"],
        &["serve", "--listen", "not an address"],
        &["serve", "--store", "nonsense:"],
        &["serve", "--library", "ftp://nowhere"],
        &["serve", "--trusted-proxies", "not-a-network"],
        &["serve", "--public-url", "not a url"],
        &["serve", "--max-renewals", "-1"],
        &["mint", "--album", "a", "--batch", "b"],
        &["mint", "--album", "a", "--batch", "b", "--count", "many", "-o", "keys.csv"],
        &["mint", "--album", "a", "--batch", "b", "--count", "1", "--expires", "someday", "-o", "keys.csv"],
        &["load"],
        &["inspect"],
        &["revoke"],
        &["revoke", "-", "--batch", "b"],
        &["reinstate", "-"],
        &["reinstate", "--because", "a test"],
        &["extend", "-"],
        &["extend", "--expires", "2100-01-01"],
        &["export", "--batch"],
    ];
    for arguments in wrong {
        let outcome = shop.tool(arguments);
        assert_eq!(outcome.status, Some(2), "{arguments:?}: {}", outcome.all());
        assert!(!outcome.stderr.is_empty(), "{arguments:?} does not say what is wrong");
    }
}

#[test]
fn what_cannot_be_done_has_status_1() {
    let shop = Shop::new();
    shop.ticket();
    let unknown = shop.key().dashed();
    let cases: [(&[&str], &str); 7] = [
        (&["load", "no-such-file.csv"], ""),
        (&["load", "-"], "this is,no list,of tickets\n1,2,3\n"),
        (&["inspect", "-"], &unknown),
        (&["revoke", "-"], &unknown),
        (&["reinstate", "-", "--because", "a test"], &unknown),
        (&["stats", "--store", "sqlite:/nowhere/at/all/tickets.db"], ""),
        (&["albums", "--library", "file:/nowhere/at/all"], ""),
    ];
    for (arguments, input) in cases {
        let outcome = shop.tool_reading(arguments, input);
        assert_eq!(outcome.status, Some(1), "{arguments:?}: {}", outcome.all());
        assert!(!outcome.stderr.is_empty(), "{arguments:?} does not say what failed");
    }
}
