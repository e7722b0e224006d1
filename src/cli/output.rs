//! What commands print.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

/// A line on stdout.
pub(super) fn say(line: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{line}")
}

/// A value on stdout as indented JSON.
pub(super) fn say_json<T: Serialize>(value: &T) -> io::Result<()> {
    say(&serde_json::to_string_pretty(value)?)
}

/// A line on stderr. When even that is gone there is nobody left to tell.
pub(super) fn complain(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// A number of things, of which `one` is the name of one: `1 ticket`, `2 tickets`.
pub(super) fn count(number: u64, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

/// How long something may take before a terminal is shown that it is under way.
const SILENCE: Duration = Duration::from_secs(1);
/// How often a sign of life changes.
const TICK: Duration = Duration::from_millis(100);

/// Waits for `work`, and shows on a terminal that it is under way if it takes long.
pub(super) async fn waiting<T>(what: &str, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    if let Ok(done) = tokio::time::timeout(SILENCE, &mut work).await {
        return done;
    }
    let spinner = progress(None, what);
    let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})");
    spinner.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    spinner.enable_steady_tick(TICK);
    let done = work.await;
    spinner.finish_and_clear();
    done
}

/// A progress bar on a terminal, and nothing otherwise. Without a total it only counts.
pub(super) fn progress(total: Option<u64>, what: &str) -> ProgressBar {
    let target =
        if io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let (bar, template) = match total {
        Some(total) => (
            ProgressBar::with_draw_target(Some(total), target),
            "{msg} {wide_bar} {human_pos}/{human_len} ({per_sec}, {eta})",
        ),
        None => (ProgressBar::with_draw_target(None, target), "{msg} {human_pos} ({per_sec})"),
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.with_style(style).with_message(what.to_owned())
}
