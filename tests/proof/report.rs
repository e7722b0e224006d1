//! What a run has found, for people.

use super::run::{Findings, Plan};

/// Outcomes of what was certainly not done.
pub(crate) const NOTHING: [&str; 2] = ["no connection", "store unavailable"];
/// Lines of a history that are printed of a bug that was to be found.
const LINES_OF_PLANTED: usize = 16;

impl Findings {
    /// Operations of all kinds, without those that were certainly not done.
    pub(crate) fn total(&self) -> u64 {
        self.operations
            .iter()
            .filter(|((_, outcome), _)| !NOTHING.contains(outcome))
            .map(|(_, count)| count)
            .sum()
    }
}

/// Prints what was done and what was found.
pub(crate) fn print(plan: &Plan, findings: &Findings) {
    match plan.planted {
        None => println!("\n== without a bug, seed {}", plan.seed),
        Some(bug) => println!("\n== with a bug planted: {bug:?}"),
    }
    print_counts(findings);
    match (plan.planted, findings.caught_after) {
        (None, _) if findings.flaws.is_empty() => println!("nothing is wrong"),
        (None, _) => {
            println!("WRONG: {} tickets", findings.flawed);
            findings.flaws.iter().for_each(|flaw| println!("{flaw}"));
        }
        (Some(_), Some(after)) => {
            println!("found after {:.1} s:", after.as_secs_f64());
            let lines: Vec<&str> = findings.flaws.iter().flat_map(|flaw| flaw.lines()).collect();
            lines.iter().take(LINES_OF_PLANTED).for_each(|line| println!("{line}"));
            if let Some(more) = lines.len().checked_sub(LINES_OF_PLANTED).filter(|more| *more > 0) {
                println!("  … and {more} lines more");
            }
        }
        (Some(_), None) => println!("NOT FOUND"),
    }
}

fn print_counts(findings: &Findings) {
    let seconds = |time: std::time::Duration| format!("{:.1} s", time.as_secs_f64());
    println!(
        "{} operations on {} tickets: {} of play, {} to settle and read, {} to check",
        findings.total(),
        findings.tickets,
        seconds(findings.playing),
        seconds(findings.settling),
        seconds(findings.checking),
    );
    let mut last = "";
    for ((request, outcome), count) in &findings.operations {
        if last != *request {
            print!("{}  {request:<10}", if last.is_empty() { "" } else { "\n" });
            last = request;
        }
        print!(" {count} {outcome};");
    }
    println!();
    let faults: Vec<String> =
        findings.faults.iter().map(|(name, count)| format!("{count} × {name}")).collect();
    println!("faults: {}", if faults.is_empty() { "none".to_owned() } else { faults.join(", ") });
    println!(
        "longest time in which nobody was given anything: {}; longest history: {} operations; slowest check: {:?}",
        seconds(findings.drought),
        findings.longest,
        findings.slowest,
    );
}
