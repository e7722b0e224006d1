//! The end of keys, in words that leave no doubt about the day and the zone.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// `2026-12-24T00:00:00Z`, and its meaning for a person who gave a date.
pub(super) fn end_in_words(end: Timestamp) -> String {
    let zoned = end.to_zoned(TimeZone::UTC);
    match zoned.date().tomorrow() {
        Ok(next) if zoned.time() == jiff::civil::Time::midnight() => {
            format!("{end}, when that day begins in UTC (for the whole day, {next})")
        }
        _ => end.to_string(),
    }
}

/// The earliest and the latest end of some keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ends {
    first: Timestamp,
    last: Timestamp,
}

impl Ends {
    /// Includes one more end.
    pub(super) fn with(known: Option<Self>, end: Timestamp) -> Self {
        let Self { first, last } = known.unwrap_or(Self { first: end, last: end });
        Self { first: first.min(end), last: last.max(end) }
    }

    pub(super) fn in_words(self) -> String {
        if self.first == self.last {
            format!("the keys end at {}", end_in_words(self.first))
        } else {
            format!(
                "the first keys end at {}; the last at {}",
                end_in_words(self.first),
                end_in_words(self.last)
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_with_its_zone_and_a_date_with_what_it_means() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let midnight = "2026-12-24T00:00:00Z, when that day begins in UTC (for the whole day, 2026-12-25)";
        assert_eq!(end_in_words(at("2026-12-24T00:00:00Z")), midnight);
        assert_eq!(end_in_words(at("2026-12-24T01:00:00+01:00")), midnight);
        assert_eq!(end_in_words(at("2026-12-24T18:00:00Z")), "2026-12-24T18:00:00Z");
        let ends = Ends::with(Some(Ends::with(None, at("2027-01-01T08:00:00Z"))), at("2026-12-01T08:00:00Z"));
        assert_eq!(
            ends.in_words(),
            "the first keys end at 2026-12-01T08:00:00Z; the last at 2027-01-01T08:00:00Z"
        );
    }
}
