//! Times and sizes in words, for people.
//!
//! Knows nothing of what they describe.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A moment, such as `21 November 2026, 10:00 UTC`.
pub(crate) fn in_words(time: Timestamp) -> String {
    time.to_zoned(TimeZone::UTC).strftime("%-d %B %Y, %H:%M UTC").to_string()
}

/// A piece of a sentence that is shown on a page.
pub(crate) struct Words<'a> {
    pub(crate) text: &'a str,
    /// The time that the text names (RFC 3339), which the page's script shows in the reader's own zone.
    pub(crate) moment: Option<String>,
}

/// A sentence in pieces: the times that it names, as [`in_words`] writes them, and the text between them.
pub(crate) fn with_moments<'a>(sentence: &'a str, moments: &[Timestamp]) -> Vec<Words<'a>> {
    let mut pieces = Vec::new();
    let mut rest = sentence;
    for moment in moments {
        let named = in_words(*moment);
        let Some(start) = rest.find(&named) else { continue };
        let end = start + named.len();
        pieces.push(Words { text: &rest[..start], moment: None });
        pieces.push(Words { text: &rest[start..end], moment: Some(moment.to_string()) });
        rest = &rest[end..];
    }
    pieces.push(Words { text: rest, moment: None });
    pieces
}

/// A waiting time in words.
pub(crate) fn seconds_in_words(seconds: u64) -> String {
    match seconds {
        1 => "a second".to_owned(),
        2..=99 => format!("{seconds} seconds"),
        _ => format!("{} minutes", seconds.div_ceil(60)),
    }
}

/// A size in decimal units, as most file managers show it.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_moments_of_a_sentence_are_pieces_of_their_own() {
        let moment: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        let pieces = with_moments("It ended on 21 November 2026, 10:00 UTC, so ask.", &[moment]);
        let pieces: Vec<_> = pieces.iter().map(|piece| (piece.text, piece.moment.as_deref())).collect();
        let expected = [
            ("It ended on ", None),
            ("21 November 2026, 10:00 UTC", Some("2026-11-21T10:00:00Z")),
            (", so ask.", None),
        ];
        assert_eq!(pieces, expected);
        assert_eq!(with_moments("Nothing of the kind.", &[moment]).len(), 1);
    }
}
