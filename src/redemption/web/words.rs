//! Times and sizes as people read them.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A moment, such as `21 November 2026, 10:00 UTC`.
pub(crate) fn in_words(time: Timestamp) -> String {
    time.to_zoned(TimeZone::UTC).strftime("%-d %B %Y, %H:%M UTC").to_string()
}

/// A time to wait.
pub(crate) fn seconds_in_words(seconds: u64) -> String {
    match seconds {
        1 => "a second".to_owned(),
        2..=99 => format!("{seconds} seconds"),
        _ => format!("{} minutes", seconds.div_ceil(60)),
    }
}

/// A size in decimal units, as file managers of people's own computers mostly show it.
pub(crate) fn size_in_words(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with one digit after the point")]
    let number = bytes as f64;
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{:.0} kB", number / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", number / 1e6),
        _ => format!("{:.1} GB", number / 1e9),
    }
}
