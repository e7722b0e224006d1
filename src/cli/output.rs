//! The output of commands, and escaping of foreign texts, such as titles and reasons: they reach a terminal
//! only through [`plain`].

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

/// Prints a line on stdout.
pub(super) fn say(line: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{}", plain(line))
}

/// Prints a value on stdout as indented JSON.
pub(super) fn say_json<T: Serialize>(value: &T) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{}", json_for_terminals(&serde_json::to_string_pretty(value)?))
}

/// Prints a line on stderr. An error is ignored, since there is no other place to report it.
pub(super) fn complain(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", plain(line));
}

/// A text as one line that is safe for a terminal: control characters, line breaks, and characters that reverse the
/// order of text are shown by their escapes (`\u{1b}`).
pub(super) fn plain(text: &str) -> Cow<'_, str> {
    if !text.contains(commands_a_terminal) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if commands_a_terminal(character) {
            plain.extend(character.escape_default());
        } else {
            plain.push(character);
        }
    }
    Cow::Owned(plain)
}

fn commands_a_terminal(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// JSON whose strings are safe for a terminal. JSON itself escapes the control characters of ASCII, except DEL.
pub(super) fn json_for_terminals(json: &str) -> Cow<'_, str> {
    let is_left = |character: char| !character.is_ascii_whitespace() && commands_a_terminal(character);
    if !json.contains(is_left) {
        return Cow::Borrowed(json);
    }
    let mut plain = String::with_capacity(json.len() + 16);
    for character in json.chars() {
        if is_left(character) {
            // All of them are below U+FFFF, and occur in strings only.
            let _ = write!(plain, "\\u{:04x}", u32::from(character));
        } else {
            plain.push(character);
        }
    }
    Cow::Owned(plain)
}

/// A number with its unit, of which `one` is the singular: `1 ticket`, `2 tickets`.
pub(super) fn count(number: u64, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

/// How long work may take before a terminal shows that it is under way.
const SILENCE: Duration = Duration::from_secs(1);
/// The interval of the spinner.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_commands_a_terminal() {
        assert_eq!(plain("Für Élise \u{200F}夜 😀"), "Für Élise \u{200F}夜 😀");
        assert_eq!(plain("a\u{1b}[31mb\n\t\u{7f}"), "a\\u{1b}[31mb\\n\\t\\u{7f}");
        assert_eq!(plain("\u{9b}2J\u{202e}x\u{2066}\u{2028}"), "\\u{9b}2J\\u{202e}x\\u{2066}\\u{2028}");
    }

    #[test]
    fn json_stays_the_same_value_and_commands_no_terminal() {
        let value = serde_json::json!({"title": "a\u{1b}[31m\u{9b}2J\u{7f}\u{202e}é", "files": ["夜"]});
        let text = serde_json::to_string_pretty(&value).unwrap();
        let shown = json_for_terminals(&text);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
        assert!(!shown.contains(|c: char| c != '\n' && commands_a_terminal(c)), "{shown:?}");
        assert!(shown.contains("é") && shown.contains('\n'));
    }
}
