//! The pages that people see, as values for the templates.
//!
//! They know words and looks; what they are about is decided elsewhere.

pub(crate) mod form;
mod mistakes;
pub(crate) mod receipt;
