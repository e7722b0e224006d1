//! Is there an order in which these calls could have happened one after the other? A search for one, after Wing and
//! Gong (1993) and Lowe (2017).
//!
//! A call takes effect at one moment between its start and its end. One whose outcome nobody knows may take effect at
//! any time after its start, or never. The search puts one call after another behind those that it has placed,
//! remembers where it has been (which calls are placed, and in what state that leaves the thing), and goes back where
//! nothing fits. Knows nothing of tickets.

use std::collections::HashSet;
use std::fmt::Debug;
use std::hash::Hash;

/// Calls in one history, at most: each is a bit.
pub(crate) const MAX_CALLS: usize = 128;
/// Places that are visited before a history is given up as too tangled. Ordinary ones need some dozens.
const MAX_STEPS: u64 = 2_000_000;

/// What the thing is supposed to do.
pub(crate) trait Specification {
    type State: Clone + Eq + Hash + Debug;
    type Operation;

    /// The state before the first call.
    fn initial(&self) -> Self::State;

    /// Adds to `next` the states in which the operation, with the outcome that it had, may leave the thing. None: it
    /// cannot have happened in this state.
    fn step(&self, state: &Self::State, operation: &Self::Operation, next: &mut Vec<Self::State>);

    /// Whether two operations of unknown outcome have the same effects in every state, so that only the one that
    /// started first needs to be tried.
    fn alike(&self, one: &Self::Operation, other: &Self::Operation) -> bool;
}

/// An operation in time. Moments are in any unit that counts up.
#[derive(Clone, Debug)]
pub(crate) struct Call<Operation> {
    pub(crate) operation: Operation,
    pub(crate) started: u64,
    pub(crate) end: End,
}

/// When a call had taken effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// By then it had.
    By(u64),
    /// If at all, then by then.
    PerhapsBy(u64),
    /// Nobody knows whether it has, or will.
    Open,
}

/// What the search has found.
#[derive(Debug)]
pub(crate) enum Verdict<State> {
    /// There is such an order.
    Possible,
    /// There is none.
    Impossible(DeadEnd<State>),
    /// The search was given up.
    Undecided,
}

/// Where the search came farthest.
#[derive(Debug)]
pub(crate) struct DeadEnd<State> {
    /// The calls that could be placed, in their order.
    pub(crate) order: Vec<usize>,
    /// What they leave.
    pub(crate) state: State,
}

/// Searches for an order of at most [`MAX_CALLS`] calls.
pub(crate) fn check<S: Specification>(specification: &S, calls: &[Call<S::Operation>]) -> Verdict<S::State> {
    assert!(calls.len() <= MAX_CALLS, "{} calls are too many for one history", calls.len());
    let required = |call: &Call<_>| matches!(call.end, End::By(_));
    let mut search = Search {
        specification,
        calls,
        required: calls
            .iter()
            .enumerate()
            .filter(|(_, call)| required(call))
            .fold(0, |set, (i, _)| set | bit(i)),
        seen: HashSet::new(),
        steps: 0,
        order: Vec::new(),
        farthest: DeadEnd { order: Vec::new(), state: specification.initial() },
    };
    match search.explore(0, &specification.initial()) {
        true => Verdict::Possible,
        false if search.steps >= MAX_STEPS => Verdict::Undecided,
        false => Verdict::Impossible(search.farthest),
    }
}

/// A set of calls.
type Set = u128;

const fn bit(index: usize) -> Set {
    1 << index
}

struct Search<'a, S: Specification> {
    specification: &'a S,
    calls: &'a [Call<S::Operation>],
    /// The calls that must be placed.
    required: Set,
    seen: HashSet<(Set, S::State)>,
    steps: u64,
    order: Vec<usize>,
    farthest: DeadEnd<S::State>,
}

impl<S: Specification> Search<'_, S> {
    /// Whether the calls that are not placed yet can follow those that are.
    fn explore(&mut self, placed: Set, state: &S::State) -> bool {
        if placed & self.required == self.required {
            return true;
        }
        if self.steps >= MAX_STEPS || !self.seen.insert((placed, state.clone())) {
            return false;
        }
        self.steps += 1;
        if self.order.len() > self.farthest.order.len() {
            self.farthest = DeadEnd { order: self.order.clone(), state: state.clone() };
        }
        let ways = self.ways(placed, state);
        // What only tells how things are can be placed at once: wherever it stood later, it could stand here, too.
        let telling = ways.iter().find(|(index, next)| {
            self.required & bit(*index) != 0 && matches!(next.as_slice(), [only] if only == state)
        });
        if let Some((index, _)) = telling {
            let index = *index;
            return self.place(index, placed, state);
        }
        ways.iter().any(|(index, next)| next.iter().any(|next| self.place(*index, placed, next)))
    }

    fn place(&mut self, index: usize, placed: Set, next: &S::State) -> bool {
        self.order.push(index);
        let found = self.explore(placed | bit(index), next);
        if !found {
            self.order.pop();
        }
        found
    }

    /// The calls that may come next, each with the states that it may leave.
    fn ways(&self, placed: Set, state: &S::State) -> Vec<(usize, Vec<S::State>)> {
        let open = |index: usize| placed & bit(index) == 0;
        let first_end = (0..self.calls.len())
            .filter(|index| open(*index))
            .filter_map(|index| match self.calls[index].end {
                End::By(end) => Some(end),
                End::PerhapsBy(_) | End::Open => None,
            })
            .min()
            .unwrap_or(u64::MAX);
        let mut ways = Vec::new();
        for index in (0..self.calls.len()).filter(|index| open(*index)) {
            let call = &self.calls[index];
            if call.started > first_end || !self.may_still(index, placed) {
                continue;
            }
            let mut next = Vec::new();
            self.specification.step(state, &call.operation, &mut next);
            if !matches!(call.end, End::By(_)) {
                // Without an effect it need not be placed at all.
                next.retain(|next| next != state);
            }
            if !next.is_empty() {
                ways.push((index, next));
            }
        }
        // Those that must be placed first: as a rule the others never took effect.
        ways.sort_by_key(|(index, _)| !matches!(self.calls[*index].end, End::By(_)));
        ways
    }

    /// Whether a call is not yet too late, and no other one would do as well.
    fn may_still(&self, index: usize, placed: Set) -> bool {
        let call = &self.calls[index];
        match call.end {
            End::By(_) => true,
            End::PerhapsBy(end) => self
                .calls
                .iter()
                .enumerate()
                .all(|(other, later)| placed & bit(other) == 0 || later.started <= end),
            End::Open => !self.calls.iter().enumerate().any(|(other, earlier)| {
                earlier.end == End::Open
                    && placed & bit(other) == 0
                    && (earlier.started, other) < (call.started, index)
                    && self.specification.alike(&earlier.operation, &call.operation)
            }),
        }
    }
}
