//! Where tickets are: what is filled before anything is measured, and again when its tickets are used up.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use tickey::redemption::key::TicketId;

use super::super::Bench;
use super::super::support::Outcome;
use super::super::support::elasticsearch::node::Node;
use super::super::support::keys::{Supply, id, read_keys};

/// Something that keeps tickets.
pub(crate) trait Store {
    /// Makes them anew, all of them unused, and comes to rest.
    fn fill(&self, bench: &Bench) -> Outcome;

    /// Comes to rest before a measurement.
    fn settle(&self) -> Outcome {
        Ok(())
    }

    /// The process that keeps them, if it is not the server.
    fn engine_pid(&self) -> Option<u32> {
        None
    }

    /// Whether it is a file of the server, which must not run while it is filled.
    fn is_file(&self) -> bool {
        false
    }

    /// What it is and which version, in a few words.
    fn describe(&self) -> Outcome<String>;
}

/// A store, and which of its tickets are unused.
pub(crate) struct Tickets {
    /// The store.
    pub(crate) store: Box<dyn Store>,
    /// The tickets that are left.
    pub(crate) supply: Supply,
}

impl Tickets {
    /// Fills a store.
    pub(crate) fn new(store: impl Store + 'static, bench: &Bench) -> Outcome<Self> {
        let tickets = Self { store: Box::new(store), supply: Supply::new(bench.dataset.tickets) };
        tickets.refill(bench)?;
        Ok(tickets)
    }

    /// Makes sure that there are so many, in a store that has come to rest.
    pub(crate) fn provide(&self, bench: &Bench, needed: usize) -> Outcome {
        if self.supply.unused().count < needed { self.refill(bench) } else { self.store.settle() }
    }

    fn refill(&self, bench: &Bench) -> Outcome {
        self.supply.start_over();
        self.store.fill(bench)
    }
}

/// A file of SQLite.
pub(crate) struct Embedded {
    path: PathBuf,
}

impl Embedded {
    /// A file that is not there yet.
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_path_buf() }
    }
}

impl Store for Embedded {
    fn fill(&self, bench: &Bench) -> Outcome {
        bench.dataset.copy_store(&self.path)
    }

    fn is_file(&self) -> bool {
        true
    }

    fn describe(&self) -> Outcome<String> {
        Ok(format!("SQLite {}", rusqlite::version()))
    }
}

/// An index of Elasticsearch, on a node of its own.
pub(crate) struct Index {
    /// The node.
    pub(crate) node: Rc<Node>,
    ids: Vec<TicketId>,
}

impl Index {
    /// Starts a node.
    pub(crate) fn start(bench: &Bench) -> Outcome<Self> {
        let node = Node::start(&bench.scratch.join("elasticsearch"), &bench.options.heap)?;
        Ok(Self { node: Rc::new(node), ids: all_ids(bench)? })
    }
}

impl Store for Index {
    fn fill(&self, _: &Bench) -> Outcome {
        self.node.refill(&self.ids)
    }

    fn settle(&self) -> Outcome {
        self.node.settle()
    }

    fn engine_pid(&self) -> Option<u32> {
        Some(self.node.pid())
    }

    fn describe(&self) -> Outcome<String> {
        self.node.describe()
    }
}

/// For whoever looks at no ticket.
pub(crate) struct Nothing;

impl Store for Nothing {
    fn fill(&self, _: &Bench) -> Outcome {
        Ok(())
    }

    fn describe(&self) -> Outcome<String> {
        Ok("nothing".to_owned())
    }
}

/// The ids of all tickets, in the order of their keys.
pub(crate) fn all_ids(bench: &Bench) -> Outcome<Vec<TicketId>> {
    read_keys(&bench.dataset.keys, 0..bench.dataset.tickets)?.iter().map(|key| id(key)).collect()
}
