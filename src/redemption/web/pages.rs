//! The pages that people see, as values for the templates.
//!
//! Knows words and appearance; other modules decide the content.

pub(crate) mod form;
mod mistakes;
pub(crate) mod receipt;
