//! Signed links and receipts, and the ring of keys that signs them.
//!
//! Both are computed from the ticket and a key of the ring, and stored nowhere. Everything is determined by the
//! ticket's own times, so the same ticket gives the same bytes on every server at any moment. No I/O: the ring's text
//! comes from outside.

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
/// Keys in a ring, at most.
pub const MAX_KEYS: usize = 32;

/// The keys that sign: every one of them verifies, and the one that was active at the moment of signing signs.
///
/// The signing key follows from the time that is signed about, which the ticket records. So an answer asked for again
/// has the same bytes after a rotation, and servers that share a ring agree without speaking to each other.
#[derive(Clone)]
pub struct KeyRing {
    /// By `active_from`, oldest first; never empty.
    keys: Vec<RingKey>,
}

#[derive(Clone)]
struct RingKey {
    active_from: Timestamp,
    name: [u8; KEY_NAME_BYTES],
    /// Keyed, ready to be cloned for each message.
    mac: Hmac<Sha256>,
}

/// A text is not a ring of keys. Says where, and never what stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyRingError {
    /// No key in it.
    #[error("it holds no key")]
    Empty,
    /// Too many.
    #[error("it holds more than {MAX_KEYS} keys; remove the oldest")]
    TooMany,
    /// A line that is not a key.
    #[error(
        "line {line} is not `<time from which it signs, RFC 3339> <32 bytes in base64url without padding>`"
    )]
    Line {
        /// 1-based.
        line: usize,
    },
}

impl KeyRing {
    /// Reads a ring: a line a key, `2026-11-21T10:00:00Z <43 characters of base64url>`. Empty lines and lines that
    /// begin with `#` are passed over.
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

    /// The line of a new key, made of random bytes.
    #[must_use]
    pub fn line(active_from: Timestamp, secret: &[u8; SECRET_BYTES]) -> Zeroizing<String> {
        Zeroizing::new(format!("{active_from} {}\n", URL_SAFE_NO_PAD.encode(secret)))
    }

    /// How many keys there are.
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

    /// Checks a link. The signature is compared in constant time, and before anything that it vouches for is believed.
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

    /// The receipt of a redemption: proof of being its holder.
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

    /// What a receipt is for. `None` when no key of the ring made it: no store needs to be asked about it.
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

    /// A secret that follows from the oldest key and a purpose, and tells nothing about either. The purpose must not be
    /// the beginning of any message that is signed.
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

    /// In constant time.
    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        signature.len() == SIGNATURE_BYTES
            && self.mac.clone().chain_update(message).verify_truncated_left(signature).is_ok()
    }
}

/// The query of a link, as it came from outside.
#[derive(Debug, serde::Deserialize)]
pub struct LinkQuery {
    /// When the link ends, in seconds since 1970.
    pub expires: i64,
    /// The name of the key that signed it.
    pub key: String,
    /// The signature.
    pub signature: String,
}

/// Why a link gives nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// Nobody here made it.
    #[error("the link's signature is not valid")]
    Invalid,
    /// It was good once.
    #[error("the link expired at {expired_at}")]
    Expired {
        /// When it ended.
        expired_at: Timestamp,
    },
}

/// Proof of being the holder of a redemption. A secret: it prints as nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Receipt([u8; Receipt::BYTES]);

impl Receipt {
    /// Ticket, redemption, name of the key, signature.
    const BYTES: usize = TicketId::BYTES + 16 + KEY_NAME_BYTES + SIGNATURE_BYTES;

    /// Reads the form that stands in a URL. `None` when it has another.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Self)
    }

    /// The form that stands in a URL. Only for its holder.
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

/// How long links live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkLifetimes {
    /// Of the smallest file, in seconds.
    pub min_seconds: u32,
    /// Of the largest file, in seconds.
    pub max_seconds: u32,
}

/// The slowest connection that a link's life is made for: 50 KiB/s.
const SLOWEST_BYTES_PER_SECOND: u64 = 50 * 1024;

impl Default for LinkLifetimes {
    /// Ten minutes to three hours.
    fn default() -> Self {
        Self { min_seconds: 600, max_seconds: 10_800 }
    }
}

impl LinkLifetimes {
    /// How long a link to a file of so many bytes lives: as long as a slow connection takes to fetch it, within bounds.
    #[must_use]
    pub fn of(self, file_bytes: u64) -> SignedDuration {
        let needed = file_bytes.div_ceil(SLOWEST_BYTES_PER_SECOND);
        let max = u64::from(self.max_seconds);
        SignedDuration::from_secs(needed.clamp(u64::from(self.min_seconds).min(max), max).cast_signed())
    }
}

/// What a link's signature vouches for. Lengths go before texts, so that no two links share a message.
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

/// What a receipt's signature vouches for.
fn receipt_message(ticket: &TicketId, redemption: RedemptionId) -> Vec<u8> {
    let mut message = Vec::with_capacity(20 + TicketId::BYTES + 16);
    message.extend_from_slice(b"tickey receipt v1\0");
    message.extend_from_slice(ticket.as_bytes());
    message.extend_from_slice(redemption.0.as_bytes());
    message
}

#[cfg(test)]
mod tests;
