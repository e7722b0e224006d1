//! Elasticsearch for whoever measures on it: a node, the way to it, servers, and the same reads and writes without one.
//!
//! | module | what it does |
//! |---|---|
//! | [`node`] | a node that ends with the program, filled with tickets |
//! | [`cluster`] | the way to it, and what is done around the measurements |
//! | [`document`] | a ticket as it is stored, and requests for one |
//! | [`server`] | the servers that are measured |
//! | [`direct`] | one of them, a first version: a GET and a conditional PUT for each redemption |
//! | [`bare`] | tickets in bulk: a loop that redeems them, and one that makes them |

pub(crate) mod bare;
pub(crate) mod cluster;
pub(crate) mod direct;
pub(crate) mod document;
pub(crate) mod node;
pub(crate) mod server;
