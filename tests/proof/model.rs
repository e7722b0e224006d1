//! What a ticket does, seen from outside: the specification that histories are held against.
//!
//! Says what each answer means for the state of the one ticket that it is about, and no more than is promised: refusals
//! and redemptions are certain, while a plain look at a receipt may be of the past (or of what never came to be). Knows
//! nothing of HTTP, of stores, or of where the answers come from.

use super::checker::Specification;

/// Whole seconds since 1970.
pub(crate) type Seconds = i64;

/// Names a redemption: whose it is, and how often the ticket had been given back before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Claim {
    pub(crate) round: u32,
    pub(crate) person: u8,
}

/// A moment of which a history may not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum When {
    At(Seconds),
    /// Nobody has seen it yet. It becomes whatever is seen first.
    Unseen,
}

impl When {
    /// What is known after it was seen as `seen`; `None` when it was known to be another.
    fn meet(self, seen: Self) -> Option<Self> {
        match (self, seen) {
            (Self::Unseen, other) | (other, Self::Unseen) => Some(other),
            (Self::At(one), Self::At(other)) => (one == other).then_some(self),
        }
    }
}

/// The use of a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Redemption {
    pub(crate) claim: Claim,
    pub(crate) at: When,
    pub(crate) renewals: u32,
    pub(crate) renewed_at: Option<When>,
}

impl Redemption {
    fn new(claim: Claim, at: When) -> Self {
        Self { claim, at, renewals: 0, renewed_at: None }
    }

    /// When the links that are valid now began to live.
    fn links(&self) -> When {
        self.renewed_at.unwrap_or(self.at)
    }

    fn meet(self, seen: Self) -> Option<Self> {
        let renewed_at = match (self.renewed_at, seen.renewed_at) {
            (None, None) => None,
            (Some(known), Some(seen)) => Some(known.meet(seen)?),
            _ => return None,
        };
        let same = self.claim == seen.claim && self.renewals == seen.renewals;
        let at = self.at.meet(seen.at)?;
        same.then_some(Self { at, renewed_at, ..self })
    }
}

/// What became of a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Holding {
    Issued,
    Redeemed(Redemption),
    Revoked(Option<Redemption>),
}

/// A ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Ticket {
    /// How often it was given back.
    pub(crate) round: u32,
    pub(crate) holding: Holding,
}

impl Ticket {
    /// One that nobody has used.
    pub(crate) const NEW: Self = Self { round: 0, holding: Holding::Issued };

    /// What is known of it after it was seen as `seen`; `None` when it was known to be otherwise.
    fn meet(self, seen: Self) -> Option<Self> {
        let holding = match (self.holding, seen.holding) {
            (Holding::Issued, Holding::Issued) => Holding::Issued,
            (Holding::Redeemed(known), Holding::Redeemed(seen)) => Holding::Redeemed(known.meet(seen)?),
            (Holding::Revoked(None), Holding::Revoked(None)) => Holding::Revoked(None),
            (Holding::Revoked(Some(known)), Holding::Revoked(Some(seen))) => {
                Holding::Revoked(Some(known.meet(seen)?))
            }
            _ => return None,
        };
        (self.round == seen.round).then_some(Self { holding, ..self })
    }

    fn revoked(self) -> Option<Self> {
        let redemption = match self.holding {
            Holding::Issued => None,
            Holding::Redeemed(redemption) => Some(redemption),
            Holding::Revoked(_) => return None,
        };
        Some(Self { holding: Holding::Revoked(redemption), ..self })
    }

    fn reinstated(self) -> Option<Self> {
        (self.holding != Holding::Issued).then(|| Self { round: self.round + 1, holding: Holding::Issued })
    }
}

/// What somebody asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// The ticket is minted.
    Create,
    /// Somebody types in the key.
    Redeem { person: u8 },
    /// The holder of a receipt comes back.
    Look { claim: Claim },
    /// Declared void by whoever issued it.
    Revoke,
    /// Given back by whoever issued it.
    Reinstate,
    /// Read by whoever issued it, and confirmed.
    Read,
}

/// The links of an answer began to live then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Links {
    pub(crate) since: Seconds,
    /// Whether anybody but the request that was answered can have made them so.
    pub(crate) may_be_found: bool,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nobody knows: no answer, a broken connection, or an answer that says so.
    Open(String),
    /// Certainly nothing, by an answer that promises so, or because it was never sent.
    Nothing(String),
    /// The album, on account of this redemption.
    Given { claim: Claim, at: Seconds, links: Links },
    /// Another redemption was first.
    AlreadyRedeemed { at: Seconds },
    /// The ticket is void.
    Revoked,
    /// The receipt is of no redemption that holds the ticket.
    ReceiptUnknown,
    /// The links were renewed as often as they may be.
    RenewalsUsedUp,
    /// There is no such ticket.
    Unknown,
    /// It was added, or was there already.
    Created { new: bool },
    /// The ticket as it is after that, and whether that changed it.
    Is { ticket: Ticket, changed: bool },
    /// An answer that cannot be.
    Wrong(String),
}

/// A request and what came of it.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) request: Request,
    pub(crate) outcome: Outcome,
    /// By the clock that redemptions are dated with.
    pub(crate) began: Seconds,
    /// By the same clock; of no meaning when the outcome is open.
    pub(crate) ended: Seconds,
}

/// The specification of one ticket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Specified {
    /// Whether it is there from the beginning.
    pub(crate) minted: bool,
    /// How long links live.
    pub(crate) link_life: Seconds,
    /// How often they may be renewed.
    pub(crate) max_renewals: u32,
}

impl Specification for Specified {
    /// `None`: there is no such ticket.
    type State = Option<Ticket>;
    type Operation = Operation;

    fn initial(&self) -> Option<Ticket> {
        self.minted.then_some(Ticket::NEW)
    }

    fn step(&self, state: &Option<Ticket>, operation: &Operation, next: &mut Vec<Option<Ticket>>) {
        match (operation.request, &operation.outcome) {
            (_, Outcome::Nothing(_)) => next.push(*state),
            (_, Outcome::Wrong(_)) => {}
            (Request::Create, outcome) => created(*state, outcome, next),
            (Request::Redeem { .. } | Request::Look { .. } | Request::Read, Outcome::Unknown) => {
                next.extend(state.is_none().then_some(None));
            }
            (request, outcome) => {
                let Some(ticket) = state else { return };
                let mut add = |ticket| next.push(Some(ticket));
                match request {
                    Request::Redeem { person } => self.redeem(ticket, person, operation, &mut add),
                    Request::Look { claim } => self.look(ticket, claim, operation, &mut add),
                    Request::Revoke => change(ticket, Ticket::revoked, outcome, &mut add),
                    Request::Reinstate => change(ticket, Ticket::reinstated, outcome, &mut add),
                    Request::Read => change(ticket, |_| None, outcome, &mut add),
                    Request::Create => {}
                }
            }
        }
    }

    fn alike(&self, one: &Operation, other: &Operation) -> bool {
        one.request == other.request
    }
}

/// Adding a ticket. That it was there is also said of one that the same request has added, at its second try.
fn created(state: Option<Ticket>, outcome: &Outcome, next: &mut Vec<Option<Ticket>>) {
    match (state, outcome) {
        (None, Outcome::Created { .. } | Outcome::Open(_)) => next.push(Some(Ticket::NEW)),
        (Some(_), Outcome::Created { new: false }) => next.push(state),
        _ => {}
    }
}

/// What an operator's change leaves. That there was something to change is also said when an earlier try of the same
/// request had done it.
fn change(
    ticket: &Ticket,
    transition: impl Fn(Ticket) -> Option<Ticket>,
    outcome: &Outcome,
    add: &mut impl FnMut(Ticket),
) {
    let changed = transition(*ticket);
    let left = match outcome {
        Outcome::Open(_) => changed,
        Outcome::Is { ticket: seen, changed: true } => changed.unwrap_or(*ticket).meet(*seen),
        Outcome::Is { ticket: seen, changed: false } if changed.is_none() => ticket.meet(*seen),
        _ => None,
    };
    left.into_iter().for_each(add);
}

impl Specified {
    fn redeem(&self, ticket: &Ticket, person: u8, operation: &Operation, add: &mut impl FnMut(Ticket)) {
        let own = Claim { round: ticket.round, person };
        let redeemed = |at| Ticket { holding: Holding::Redeemed(Redemption::new(own, at)), ..*ticket };
        match (&operation.outcome, ticket.holding) {
            (Outcome::Open(_), Holding::Issued) => add(redeemed(When::Unseen)),
            // An answer to whoever asks again may renew the links.
            (Outcome::Open(_), Holding::Redeemed(held)) if held.claim == own => {
                self.renew(ticket, held, When::Unseen, add);
            }
            (Outcome::Given { claim, at, links }, Holding::Issued) => {
                let in_time = (operation.began..=operation.ended).contains(at);
                // Where a reply was lost the ticket is read again, and the links may be another's by then.
                if *claim == own && in_time && (links.since == *at || links.may_be_found) {
                    add(redeemed(When::At(*at)));
                }
            }
            (Outcome::Given { claim, at, links }, Holding::Redeemed(held))
                if *claim == own && held.claim == own =>
            {
                let Some(at) = held.at.meet(When::At(*at)) else { return };
                let held = Redemption { at, ..held };
                if links.may_be_found {
                    add(Ticket { holding: Holding::Redeemed(held), ..*ticket });
                }
                self.renew_as_told(ticket, held, *links, operation, add);
            }
            (Outcome::AlreadyRedeemed { at }, Holding::Redeemed(held)) if held.claim != own => {
                if let Some(at) = held.at.meet(When::At(*at)) {
                    add(Ticket { holding: Holding::Redeemed(Redemption { at, ..held }), ..*ticket });
                }
            }
            // That the receipt is unknown is said when the redemption that it found was gone as its links were to be
            // renewed.
            (Outcome::Revoked | Outcome::ReceiptUnknown, Holding::Revoked(_))
            | (Outcome::ReceiptUnknown, Holding::Issued) => add(*ticket),
            (Outcome::ReceiptUnknown, Holding::Redeemed(held)) if held.claim != own || own.round > 0 => {
                add(*ticket);
            }
            (Outcome::RenewalsUsedUp, Holding::Redeemed(held)) if held.claim == own => {
                self.used_up(ticket, held, add);
            }
            _ => {}
        }
    }

    fn look(&self, ticket: &Ticket, own: Claim, operation: &Operation, add: &mut impl FnMut(Ticket)) {
        match (&operation.outcome, ticket.holding) {
            (Outcome::Open(_), Holding::Redeemed(held)) if held.claim == own => {
                self.renew(ticket, held, When::Unseen, add);
            }
            (Outcome::Given { claim, links, .. }, holding) if *claim == own => {
                if links.may_be_found {
                    // A plain look, which is not confirmed.
                    add(*ticket);
                }
                if let Holding::Redeemed(held) = holding
                    && held.claim == own
                {
                    self.renew_as_told(ticket, held, *links, operation, add);
                }
            }
            (Outcome::Revoked, Holding::Revoked(Some(held))) if held.claim == own => add(*ticket),
            (Outcome::ReceiptUnknown, Holding::Issued | Holding::Revoked(None)) => add(*ticket),
            (Outcome::ReceiptUnknown, Holding::Redeemed(held) | Holding::Revoked(Some(held)))
                if held.claim != own =>
            {
                add(*ticket);
            }
            (Outcome::RenewalsUsedUp, Holding::Redeemed(held)) if held.claim == own => {
                self.used_up(ticket, held, add);
            }
            _ => {}
        }
    }

    /// The links begin to live anew.
    fn renew(&self, ticket: &Ticket, held: Redemption, at: When, add: &mut impl FnMut(Ticket)) {
        let expired = match (held.links(), at) {
            (When::At(before), When::At(now)) => now - before >= self.link_life,
            _ => true,
        };
        if expired && held.renewals < self.max_renewals {
            let renewed = Redemption { renewals: held.renewals + 1, renewed_at: Some(at), ..held };
            add(Ticket { holding: Holding::Redeemed(renewed), ..*ticket });
        }
    }

    /// The links of this answer were renewed by this request, if that can be.
    fn renew_as_told(
        &self,
        ticket: &Ticket,
        held: Redemption,
        links: Links,
        operation: &Operation,
        add: &mut impl FnMut(Ticket),
    ) {
        if (operation.began..=operation.ended).contains(&links.since) {
            self.renew(ticket, held, When::At(links.since), add);
        }
    }

    fn used_up(&self, ticket: &Ticket, held: Redemption, add: &mut impl FnMut(Ticket)) {
        if held.renewals >= self.max_renewals {
            add(*ticket);
        }
    }
}
