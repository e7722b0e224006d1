//! What this context offers over HTTP: redeeming, receipts, downloads, and the admin interface.

pub mod admin;
pub(crate) mod album;
pub(crate) mod files;
pub(crate) mod pages;
pub(crate) mod redemptions;
