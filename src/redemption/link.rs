//! Signed links and receipts, and the ring of keys that signs them.
//!
//! Both are computed from the ticket and a key of the ring, and stored nowhere. They depend only on the
//! ticket's own times, so the same ticket gives the same bytes on every server at any time. No I/O: the ring's
//! text comes from outside.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::key::TicketId;
use super::ticket::RedemptionId;

/// Bytes of a signature: HMAC-SHA-256, cut to 128 bits as RFC 2104, section 5, allows.
const SIGNATURE_BYTES: usize = 16;
/// Bytes of a key's name: the start of its SHA-256.
const KEY_NAME_BYTES: usize = 4;
/// Bytes of a secret in the ring.
pub const SECRET_BYTES: usize = 32;
/// The most keys in a ring.
pub const MAX_KEYS: usize = 32;

/// The signing keys. All of them verify; the key that was active at the signed time signs.
///
/// The signing key follows from a time that the ticket records. So a repeated answer has the same bytes after a
/// rotation, and servers that share a ring agree without communication.
#[derive(Clone)]
pub struct KeyRing {
    /// By `active_from`, oldest first; never empty.
    keys: Vec<RingKey>,
}

#[derive(Clone)]
struct RingKey {
    active_from: Timestamp,
    name: [u8; KEY_NAME_BYTES],
    /// Already keyed; cloned for each message.
    mac: Hmac<Sha256>,
}

/// The text is not a valid ring of keys. Names the line, and never quotes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyRingError {
    /// It holds no key.
    #[error("it holds no key")]
    Empty,
    /// It holds too many keys.
    #[error("it holds more than {MAX_KEYS} keys; remove the oldest")]
    TooMany,
    /// A line is not a key.
    #[error(
        "line {line} is not `<time from which it signs, RFC 3339> <32 bytes in base64url without padding>`"
    )]
    Line {
        /// The number of the line, 1-based.
        line: usize,
    },
}

impl KeyRing {
    /// Parses a ring: one key on each line, `2026-11-21T10:00:00Z <43 characters of base64url>`. Empty lines and lines
    /// that begin with `#` are skipped.
    pub fn parse(text: &str) -> Result<Self, KeyRingError> {
        let mut keys = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            keys.push(RingKey::parse(line).ok_or(KeyRingError::Line { line: index + 1 })?);
        }
        if keys.is_empty() {
            return Err(KeyRingError::Empty);
        }
        if keys.len() > MAX_KEYS {
            return Err(KeyRingError::TooMany);
        }
        keys.sort_by_key(|key| key.active_from);
        Ok(Self { keys })
    }

    /// The line of a new key, made from random bytes.
    #[must_use]
    pub fn line(active_from: Timestamp, secret: &[u8; SECRET_BYTES]) -> Zeroizing<String> {
        Zeroizing::new(format!("{active_from} {}\n", URL_SAFE_NO_PAD.encode(secret)))
    }

    /// The number of keys.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a ring is never empty")]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// The query of a link to a file, valid until `expires_at`.
    #[must_use]
    pub fn sign_link(&self, album: &str, file: &str, issued_at: Timestamp, expires_at: Timestamp) -> String {
        let key = self.active_at(issued_at);
        let signature = key.sign(&link_message(album, file, expires_at.as_second()));
        format!(
            "expires={}&key={}&signature={}",
            expires_at.as_second(),
            URL_SAFE_NO_PAD.encode(key.name),
            URL_SAFE_NO_PAD.encode(signature)
        )
    }

    /// Verifies a link. The signature is compared in constant time, before any signed value is used.
    pub fn verify_link(
        &self,
        album: &str,
        file: &str,
        query: &LinkQuery,
        now: Timestamp,
    ) -> Result<(), LinkError> {
        let name = URL_SAFE_NO_PAD.decode(&query.key).map_err(|_| LinkError::Invalid)?;
        let signature = URL_SAFE_NO_PAD.decode(&query.signature).map_err(|_| LinkError::Invalid)?;
        let key = self.named(&name).ok_or(LinkError::Invalid)?;
        if !key.verify(&link_message(album, file, query.expires), &signature) {
            return Err(LinkError::Invalid);
        }
        let expires_at = Timestamp::from_second(query.expires).map_err(|_| LinkError::Invalid)?;
        if now < expires_at { Ok(()) } else { Err(LinkError::Expired { expired_at: expires_at }) }
    }

    /// The receipt of a redemption: it proves that its bearer is the holder.
    #[must_use]
    pub fn issue_receipt(
        &self,
        ticket: TicketId,
        redemption: RedemptionId,
        redeemed_at: Timestamp,
    ) -> Receipt {
        let key = self.active_at(redeemed_at);
        let signature = key.sign(&receipt_message(&ticket, redemption));
        let mut bytes = [0; Receipt::BYTES];
        let (head, tail) = bytes.split_at_mut(TicketId::BYTES);
        head.copy_from_slice(ticket.as_bytes());
        tail[..16].copy_from_slice(redemption.0.as_bytes());
        tail[16..16 + KEY_NAME_BYTES].copy_from_slice(&key.name);
        tail[16 + KEY_NAME_BYTES..].copy_from_slice(&signature);
        Receipt(bytes)
    }

    /// The ticket and redemption of a receipt. `None` when no key of the ring made it: then no store needs to be asked.
    #[must_use]
    pub fn verify_receipt(&self, receipt: &Receipt) -> Option<(TicketId, RedemptionId)> {
        let (ticket, rest) = receipt.0.split_first_chunk::<{ TicketId::BYTES }>()?;
        let (redemption, rest) = rest.split_first_chunk::<16>()?;
        let (name, signature) = rest.split_first_chunk::<KEY_NAME_BYTES>()?;
        let ticket = TicketId::from_bytes(*ticket);
        let redemption = RedemptionId(Uuid::from_bytes(*redemption));
        let key = self.named(name)?;
        key.verify(&receipt_message(&ticket, redemption), signature).then_some((ticket, redemption))
    }

    /// A secret that is derived from the oldest key and a purpose, and reveals neither. The purpose must not be a
    /// prefix of any signed message.
    #[must_use]
    pub fn derive_secret(&self, purpose: &str) -> Zeroizing<[u8; SECRET_BYTES]> {
        let oldest = self.keys[0].mac.clone();
        Zeroizing::new(oldest.chain_update(purpose.as_bytes()).finalize().into_bytes().into())
    }

    /// The newest key that was active at a time, or the oldest of all for times before it.
    fn active_at(&self, time: Timestamp) -> &RingKey {
        let after = self.keys.partition_point(|key| key.active_from <= time);
        &self.keys[after.saturating_sub(1)]
    }

    fn named(&self, name: &[u8]) -> Option<&RingKey> {
        self.keys.iter().find(|key| key.name == name)
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyRing({} keys, redacted)", self.keys.len())
    }
}

impl RingKey {
    fn parse(line: &str) -> Option<Self> {
        let (active_from, secret) = line.split_once(char::is_whitespace)?;
        let secret = Zeroizing::new(URL_SAFE_NO_PAD.decode(secret.trim()).ok()?);
        if secret.len() != SECRET_BYTES {
            return None;
        }
        let mut name = [0; KEY_NAME_BYTES];
        name.copy_from_slice(&Sha256::digest(secret.as_slice())[..KEY_NAME_BYTES]);
        Some(Self { active_from: active_from.parse().ok()?, name, mac: Hmac::new_from_slice(&secret).ok()? })
    }

    fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        let full = self.mac.clone().chain_update(message).finalize().into_bytes();
        let mut signature = [0; SIGNATURE_BYTES];
        signature.copy_from_slice(&full[..SIGNATURE_BYTES]);
        signature
    }

    /// Compares in constant time.
    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        signature.len() == SIGNATURE_BYTES
            && self.mac.clone().chain_update(message).verify_truncated_left(signature).is_ok()
    }
}

/// The query of a link, not verified yet.
#[derive(Debug, serde::Deserialize)]
pub struct LinkQuery {
    /// When the link expires, in seconds since 1970.
    pub expires: i64,
    /// The name of the key that signed it.
    pub key: String,
    /// The signature.
    pub signature: String,
}

/// Why a link is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// No key of the ring signed it.
    #[error("the link's signature is not valid")]
    Invalid,
    /// It was valid and has expired.
    #[error("the link expired at {expired_at}")]
    Expired {
        /// When it expired.
        expired_at: Timestamp,
    },
}

/// Proof of being the holder of a redemption. A secret: debug output hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Receipt([u8; Receipt::BYTES]);

impl Receipt {
    /// Ticket, redemption, name of the key, signature.
    const BYTES: usize = TicketId::BYTES + 16 + KEY_NAME_BYTES + SIGNATURE_BYTES;

    /// Parses the form in a URL. `None` when it is malformed.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Self)
    }

    /// The form in a URL. Only for its holder.
    #[must_use]
    pub fn reveal(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Receipt(redacted)")
    }
}

/// The lifetimes of links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkLifetimes {
    /// The lifetime for the smallest file, in seconds.
    pub min_seconds: u32,
    /// The lifetime for the largest file, in seconds.
    pub max_seconds: u32,
}

/// The slowest connection that lifetimes are made for: 50 KiB/s.
const SLOWEST_BYTES_PER_SECOND: u64 = 50 * 1024;

impl Default for LinkLifetimes {
    /// Ten minutes to three hours.
    fn default() -> Self {
        Self { min_seconds: 600, max_seconds: 10_800 }
    }
}

impl LinkLifetimes {
    /// The lifetime of a link to a file of `bytes` bytes: as long as a slow connection takes to download it,
    /// within the bounds.
    #[must_use]
    pub fn of(self, file_bytes: u64) -> SignedDuration {
        let needed = file_bytes.div_ceil(SLOWEST_BYTES_PER_SECOND);
        let max = u64::from(self.max_seconds);
        SignedDuration::from_secs(needed.clamp(u64::from(self.min_seconds).min(max), max).cast_signed())
    }
}

/// The message that a link's signature covers. Lengths go before texts, so that no two links share a message.
fn link_message(album: &str, file: &str, expires_second: i64) -> Vec<u8> {
    let mut message = Vec::with_capacity(40 + album.len() + file.len());
    message.extend_from_slice(b"tickey link v1\0");
    message.extend_from_slice(&(album.len() as u64).to_be_bytes());
    message.extend_from_slice(album.as_bytes());
    message.extend_from_slice(&(file.len() as u64).to_be_bytes());
    message.extend_from_slice(file.as_bytes());
    message.extend_from_slice(&expires_second.to_be_bytes());
    message
}

/// The message that a receipt's signature covers.
fn receipt_message(ticket: &TicketId, redemption: RedemptionId) -> Vec<u8> {
    let mut message = Vec::with_capacity(20 + TicketId::BYTES + 16);
    message.extend_from_slice(b"tickey receipt v1\0");
    message.extend_from_slice(ticket.as_bytes());
    message.extend_from_slice(redemption.0.as_bytes());
    message
}

#[cfg(test)]
mod tests;
