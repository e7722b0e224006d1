//! HTTP/1.1 as far as a load generator needs it: one request, the status and the length of its answer, the same
//! connection again.

use std::net::SocketAddr;
use std::ops::Range;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Outcome;

/// Requests in flight where many are.
pub(crate) const IN_FLIGHT: usize = 256;
/// What a redemption is answered with.
pub(crate) const CREATED: u16 = 201;
/// Room for an answer: the largest has about 4 KiB.
const BUFFER_BYTES: usize = 16 * 1024;

/// A request to redeem a key, whose bytes are the same for every key but for the key.
pub(crate) struct Request {
    bytes: Vec<u8>,
    key_at: usize,
}

impl Request {
    /// A request with this key.
    pub(crate) fn redeem(host: SocketAddr, key: &[u8]) -> Self {
        let before = br#"{"key": ""#;
        let after = br#""}"#;
        let length = before.len() + key.len() + after.len();
        let mut bytes = format!(
            "POST /redemptions HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n"
        )
        .into_bytes();
        bytes.extend_from_slice(before);
        let key_at = bytes.len();
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(after);
        Self { bytes, key_at }
    }

    /// The same with another key of the same length.
    pub(crate) fn set_key(&mut self, key: &[u8]) {
        self.bytes[self.key_at..self.key_at + key.len()].copy_from_slice(key);
    }
}

/// What is looked at of an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    /// Its status.
    pub(crate) status: u16,
    /// Bytes of its body.
    pub(crate) body_bytes: usize,
    /// Whether it says when to try again.
    pub(crate) retry_after: bool,
}

/// A connection that is kept alive.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Where the body of the last answer is in there.
    body: Range<usize>,
}

impl Connection {
    /// Connects.
    pub(crate) async fn open(address: SocketAddr) -> Outcome<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; BUFFER_BYTES], body: 0..0 })
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn exchange(&mut self, request: &Request) -> Outcome<Answer> {
        self.stream.write_all(&request.bytes).await?;
        let mut filled = 0;
        let (head_bytes, answer) = loop {
            filled += self.read(filled).await?;
            if let Some(end) = self.buffer[..filled].windows(4).position(|window| window == b"\r\n\r\n") {
                break (end + 4, parse_head(&self.buffer[..end])?);
            }
        };
        self.body = head_bytes..head_bytes + answer.body_bytes;
        while filled < self.body.end {
            filled += self.read(filled).await?;
        }
        Ok(answer)
    }

    /// The body of the last answer.
    pub(crate) fn body(&self) -> &[u8] {
        &self.buffer[self.body.clone()]
    }

    async fn read(&mut self, filled: usize) -> Outcome<usize> {
        match self.stream.read(&mut self.buffer[filled..]).await? {
            0 => Err("the server closed the connection, or its answer is too long".into()),
            read => Ok(read),
        }
    }
}

fn parse_head(head: &[u8]) -> Outcome<Answer> {
    let head = std::str::from_utf8(head)?;
    let status = head.get(9..12).ok_or("the answer has no status")?.parse()?;
    let mut answer = Answer { status, body_bytes: 0, retry_after: false };
    for line in head.split("\r\n").skip(1) {
        let Some((name, value)) = line.split_once(": ") else { continue };
        if name.eq_ignore_ascii_case("content-length") {
            answer.body_bytes = value.parse()?;
        } else if name.eq_ignore_ascii_case("retry-after") {
            answer.retry_after = true;
        }
    }
    Ok(answer)
}
