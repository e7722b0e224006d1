//! What happened to one ticket: every request about it, when it was sent and answered, and what was said. Judges it by
//! the specification, and prints it for people.
//!
//! Knows the specification and the checker, and nothing of how requests are sent.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use super::checker::{self, Call, DeadEnd, End, Verdict};
use super::model::{Claim, Holding, Links, Operation, Outcome, Request, Seconds, Specified, Ticket, When};

/// How long links live in the proof.
pub(crate) const LINK_LIFE: Seconds = 1;
/// How often they can be renewed in the proof.
pub(crate) const MAX_RENEWALS: u32 = 3;
/// Records that a history may have, so that it can be checked with what else has to be thought of.
pub(crate) const MAX_RECORDS: usize = 80;

/// A request and what came of it, in time.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// Through which server; `None`: straight to the store.
    pub(crate) server: Option<u8>,
    /// Nanoseconds since the run began.
    pub(crate) started: u64,
    pub(crate) answered: u64,
    pub(crate) operation: Operation,
    /// Of the answer's bytes, when it gave an album.
    pub(crate) digest: u64,
}

/// All that happened to one ticket.
#[derive(Clone, Debug)]
pub(crate) struct History {
    /// The ticket, for people.
    pub(crate) name: String,
    /// What was played with it.
    pub(crate) scene: &'static str,
    /// Whether it was there from the beginning.
    pub(crate) minted: bool,
    pub(crate) records: Vec<Record>,
}

/// What is wrong with a history.
#[derive(Debug)]
pub(crate) enum Flaw {
    /// These things cannot have happened in any order.
    NotLinearizable { placed: Vec<usize>, state: Option<Ticket> },
    /// The checker has given up.
    TooTangled,
    /// Two answers about the same redemption with the same links differ in their bytes.
    OtherBytes { one: usize, other: usize },
    /// A redemption was acknowledged, and nobody has taken it back, and it is not in the store.
    Lost { claim: Claim },
    /// Two people were given the ticket, and nobody gave it back in between.
    GivenTwice { one: Claim, other: Claim },
}

impl History {
    /// What is wrong with it, if anything.
    pub(crate) fn flaw(&self) -> Option<Flaw> {
        self.given_twice()
            .or_else(|| self.lost())
            .or_else(|| self.other_bytes())
            .or_else(|| self.not_linearizable())
    }

    /// The redemptions that were acknowledged, each with where that was said first.
    fn given(&self) -> BTreeMap<(u32, u8), Claim> {
        let given = self.records.iter().filter_map(|record| match record.operation.outcome {
            Outcome::Given { claim, .. } => Some(((claim.round, claim.person), claim)),
            _ => None,
        });
        given.collect()
    }

    /// The plainest of all flaws, found without any search.
    fn given_twice(&self) -> Option<Flaw> {
        let given: Vec<Claim> = self.given().into_values().collect();
        let pair = given.windows(2).find(|pair| pair[0].round == pair[1].round)?;
        Some(Flaw::GivenTwice { one: pair[0], other: pair[1] })
    }

    /// An acknowledged redemption that the ticket does not hold in the end, although it was not given back since.
    fn lost(&self) -> Option<Flaw> {
        let Some(Record {
            operation: Operation { outcome: Outcome::Is { ticket, .. }, request: Request::Read, .. },
            ..
        }) = self.records.last()
        else {
            return None;
        };
        let held = match ticket.holding {
            Holding::Issued | Holding::Revoked(None) => None,
            Holding::Redeemed(held) | Holding::Revoked(Some(held)) => Some(held.claim),
        };
        let lost =
            |claim: &Claim| claim.round > ticket.round || claim.round == ticket.round && held != Some(*claim);
        self.given().into_values().find(lost).map(|claim| Flaw::Lost { claim })
    }

    fn other_bytes(&self) -> Option<Flaw> {
        let mut seen: BTreeMap<(u32, u8, Seconds, Seconds), usize> = BTreeMap::new();
        self.records.iter().enumerate().find_map(|(index, record)| {
            let Outcome::Given { claim, at, links } = &record.operation.outcome else { return None };
            let first = *seen.entry((claim.round, claim.person, *at, links.since)).or_insert(index);
            let differs = self.records[first].digest != record.digest;
            differs.then_some(Flaw::OtherBytes { one: first, other: index })
        })
    }

    fn not_linearizable(&self) -> Option<Flaw> {
        let specified = Specified { minted: self.minted, link_life: LINK_LIFE, max_renewals: MAX_RENEWALS };
        let (calls, records) = self.calls();
        match checker::check(&specified, &calls) {
            Verdict::Possible => None,
            Verdict::Undecided => Some(Flaw::TooTangled),
            Verdict::Impossible(DeadEnd { order, state }) => {
                let placed =
                    order.into_iter().filter(|index| *index < records.len()).map(|index| records[index]);
                Some(Flaw::NotLinearizable { placed: placed.collect(), state })
            }
        }
    }

    /// The records as the checker takes them, with the index of the record of each. At the end come what requests may
    /// have done besides.
    fn calls(&self) -> (Vec<Call<Operation>>, Vec<usize>) {
        let mut calls = Vec::new();
        let mut records = Vec::new();
        for (index, record) in self.records.iter().enumerate() {
            let end = match record.operation.outcome {
                Outcome::Nothing(_) => continue,
                Outcome::Open(_) => End::Open,
                _ => End::By(record.answered),
            };
            let mut operation = record.operation.clone();
            if let Outcome::Given { at, links, .. } = &mut operation.outcome {
                links.may_be_found =
                    links.since == *at || links.since < operation.began || self.may_renew(index, links.since);
            }
            calls.push(Call { operation, started: record.started, end });
            records.push(index);
        }
        calls.extend(self.earlier_tries());
        (calls, records)
    }

    /// Whether another request can have renewed the links in that second.
    fn may_renew(&self, index: usize, second: Seconds) -> bool {
        self.records.iter().enumerate().any(|(other, Record { operation, .. })| {
            let renews = matches!(operation.request, Request::Redeem { .. } | Request::Look { .. });
            let ends = match operation.outcome {
                Outcome::Nothing(_) => return false,
                Outcome::Open(_) => Seconds::MAX,
                _ => operation.ended,
            };
            other != index && renews && (operation.began..=ends).contains(&second)
        })
    }

    /// A server that has lost the reply to a write looks again and goes on from there. So it may have done something
    /// before that its answer does not tell of: redeemed or renewed, before the links had expired by then and were
    /// renewed; or redeemed or renewed, before it refused because the ticket was revoked or given back in that moment.
    fn earlier_tries(&self) -> Vec<Call<Operation>> {
        let changes = |record: &&Record| {
            matches!(record.operation.request, Request::Revoke | Request::Reinstate)
                && !matches!(record.operation.outcome, Outcome::Nothing(_))
        };
        let changes: Vec<&Record> = self.records.iter().filter(changes).collect();
        let concerned = |record: &&Record| match (record.operation.request, &record.operation.outcome) {
            (Request::Redeem { .. }, Outcome::Given { at, links, .. }) => links.since != *at,
            (Request::Look { .. }, Outcome::Given { links, .. }) => {
                links.since >= record.operation.began + LINK_LIFE
            }
            (_, Outcome::Revoked | Outcome::ReceiptUnknown) => changes.iter().any(|change| {
                let is_open = matches!(change.operation.outcome, Outcome::Open(_));
                change.started <= record.answered && (is_open || record.started <= change.answered)
            }),
            _ => false,
        };
        let earlier_try = |record: &Record| {
            let outcome = Outcome::Open("an earlier try".to_owned());
            let operation = Operation { outcome, ..record.operation.clone() };
            Call { operation, started: record.started, end: End::PerhapsBy(record.answered) }
        };
        let room = checker::MAX_CALLS - self.records.len().min(checker::MAX_CALLS);
        self.records.iter().filter(concerned).map(earlier_try).take(room).collect()
    }

    /// The history for people, with what is wrong with it.
    pub(crate) fn explain(&self, flaw: &Flaw) -> String {
        let mut text = format!("ticket {} ({}): {}\n", self.name, self.scene, Explained(flaw));
        let mut order: Vec<usize> = (0..self.records.len()).collect();
        order.sort_by_key(|index| self.records[*index].started);
        for index in order {
            let record = &self.records[index];
            let place = match flaw {
                Flaw::NotLinearizable { placed, .. } => match placed
                    .iter()
                    .position(|placed| *placed == index)
                {
                    Some(place) => format!("{:>3}.", place + 1),
                    None if matches!(record.operation.outcome, Outcome::Open(_) | Outcome::Nothing(_)) => {
                        "    ".to_owned()
                    }
                    None => " ?? ".to_owned(),
                },
                Flaw::OtherBytes { one, other } if index == *one || index == *other => " !! ".to_owned(),
                _ => "    ".to_owned(),
            };
            // Writing to a text cannot fail.
            let _ = writeln!(text, "{place} {record}");
        }
        text
    }
}

/// Seconds of the run.
struct Moment(u64);

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>9.3}", std::time::Duration::from_nanos(self.0).as_secs_f64())
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let through = self.server.map_or("the store".to_owned(), |server| format!("server {server}"));
        write!(f, "{} –{}  {through:<9}  ", Moment(self.started), Moment(self.answered))?;
        let request = match self.operation.request {
            Request::Create => "is minted".to_owned(),
            Request::Redeem { person } => format!("person {person} redeems"),
            Request::Look { claim } => format!("receipt of {claim}"),
            Request::Revoke => "is revoked".to_owned(),
            Request::Reinstate => "is given back".to_owned(),
            Request::Read => "is read".to_owned(),
        };
        write!(f, "{request:<26} {}", self.operation.outcome)
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "person {} in round {}", self.person, self.round)
    }
}

/// A second of the hour, which is enough to compare.
struct Second(Seconds);

impl fmt::Display for Second {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, ":{:02}:{:02}", self.0 / 60 % 60, self.0 % 60)
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(second) => Second(*second).fmt(f),
            Self::Unseen => f.write_str("an unknown time"),
        }
    }
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (state, redemption) = match self.holding {
            Holding::Issued => ("issued", None),
            Holding::Redeemed(redemption) => ("redeemed", Some(redemption)),
            Holding::Revoked(redemption) => ("revoked", redemption),
        };
        write!(f, "{state}, round {}", self.round)?;
        if let Some(redemption) = redemption {
            write!(f, ", held by {} since {}", redemption.claim, redemption.at)?;
            if let Some(renewed_at) = redemption.renewed_at {
                write!(f, ", renewed {} times, last {renewed_at}", redemption.renewals)?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(why) => write!(f, "open: {why}"),
            Self::Nothing(why) => write!(f, "nothing: {why}"),
            Self::Given { claim, at, links: Links { since, .. } } => {
                write!(f, "GIVEN to {claim} at {}, links of {}", Second(*at), Second(*since))
            }
            Self::AlreadyRedeemed { at } => write!(f, "already redeemed at {}", Second(*at)),
            Self::Revoked => f.write_str("revoked"),
            Self::ReceiptUnknown => f.write_str("no such receipt"),
            Self::RenewalsUsedUp => f.write_str("renewals used up"),
            Self::Unknown => f.write_str("unknown"),
            Self::Created { new } => f.write_str(if *new { "new" } else { "was there" }),
            Self::Is { ticket, changed } => {
                write!(f, "{}: {ticket}", if *changed { "changed" } else { "found" })
            }
            Self::Wrong(what) => write!(f, "WRONG: {what}"),
        }
    }
}

struct Explained<'a>(&'a Flaw);

impl fmt::Display for Explained<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Flaw::NotLinearizable { state, .. } => {
                f.write_str(
                    "no order explains all of this. At best, in the order of the numbers, it comes to: ",
                )?;
                match state {
                    Some(ticket) => write!(f, "{ticket}; what is marked ?? then has no place"),
                    None => f.write_str("there is no such ticket; what is marked ?? then has no place"),
                }
            }
            Flaw::TooTangled => f.write_str("too tangled to be checked"),
            Flaw::OtherBytes { .. } => f.write_str("the answers marked !! should have the same bytes"),
            Flaw::Lost { claim } => {
                write!(f, "it was given to {claim}, and the store does not know of it in the end")
            }
            Flaw::GivenTwice { one, other } => write!(f, "it was given twice: to {one} and to {other}"),
        }
    }
}
