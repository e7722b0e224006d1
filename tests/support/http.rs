//! HTTP/1.1 by hand: requests may hold any bytes in any place, and an answer that was cut off is never taken for whole.

use std::fmt::Write as _;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use super::page::Page;

/// How long a server may be silent before a test gives up on it.
const SILENCE: Duration = Duration::from_secs(30);

pub(crate) const JSON: &str = "application/json";
pub(crate) const FORM: &str = "application/x-www-form-urlencoded";

/// What a browser sends when somebody opens a page.
pub(crate) const BROWSER: &str =
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";

/// A request, to be sent on a connection of its own.
#[derive(Clone)]
pub(crate) struct Request {
    method: String,
    target: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Option<Vec<u8>>,
    chunked: bool,
}

impl Request {
    pub(crate) fn new(method: &str, target: &str) -> Self {
        let (method, target) = (method.to_owned(), target.to_owned());
        Self { method, target, headers: Vec::new(), body: None, chunked: false }
    }

    pub(crate) fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// The request that redeems, with its body as JSON.
    pub(crate) fn redeem(key: &str) -> Self {
        Self::new("POST", "/redemptions").body(JSON, json!({ "key": key }).to_string())
    }

    /// The same as a form sends it.
    pub(crate) fn redeem_by_form(fields: &[(&str, &str)]) -> Self {
        Self::new("POST", "/redemptions").body(FORM, form(fields))
    }

    /// The same with another method.
    pub(crate) fn with_method(mut self, method: &str) -> Self {
        method.clone_into(&mut self.method);
        self
    }

    /// The same to another place.
    pub(crate) fn with_target(mut self, target: &str) -> Self {
        target.clone_into(&mut self.target);
        self
    }

    pub(crate) fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    pub(crate) fn accept(self, media_types: &str) -> Self {
        self.header("Accept", media_types)
    }

    pub(crate) fn idempotency_key(self, value: impl AsRef<[u8]>) -> Self {
        self.header("Idempotency-Key", value)
    }

    /// As passed on by a proxy that got it from this address.
    pub(crate) fn forwarded_for(self, addresses: &str) -> Self {
        self.header("X-Forwarded-For", addresses)
    }

    pub(crate) fn body(self, media_type: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.header("Content-Type", media_type).body_of_no_type(bytes)
    }

    pub(crate) fn body_of_no_type(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.body = Some(bytes.into());
        self
    }

    /// Sends the body in chunks, so that its length is not known beforehand.
    pub(crate) fn chunked(mut self) -> Self {
        self.chunked = true;
        self
    }

    /// Sends it and reads the whole answer.
    pub(crate) fn send(&self, address: SocketAddr) -> io::Result<Answer> {
        let bytes = exchange(address, &self.to_bytes(address))?;
        Answer::read(&bytes, self.method == "HEAD")
    }

    fn to_bytes(&self, address: SocketAddr) -> Vec<u8> {
        let mut bytes =
            format!("{} {} HTTP/1.1\r\nHost: {address}\r\n", self.method, self.target).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"Connection: close\r\n");
        match &self.body {
            Some(body) if self.chunked => {
                bytes.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
                for chunk in body.chunks(1000) {
                    bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                    bytes.extend_from_slice(chunk);
                    bytes.extend_from_slice(b"\r\n");
                }
                bytes.extend_from_slice(b"0\r\n\r\n");
            }
            Some(body) => {
                bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
                bytes.extend_from_slice(body);
            }
            None => bytes.extend_from_slice(b"\r\n"),
        }
        bytes
    }
}

/// Opens a connection that does not wait for ever.
pub(crate) fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, SILENCE)?;
    stream.set_read_timeout(Some(SILENCE))?;
    stream.set_write_timeout(Some(SILENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Sends these bytes on a connection of their own and reads until the server closes it.
pub(crate) fn exchange(address: SocketAddr, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = connect(address)?;
    match stream.write_all(bytes) {
        // The server may answer and close before it has read everything; the answer is still there to be read.
        Err(error) if !matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
            return Err(error);
        }
        _ => {}
    }
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        // A server that did not want the rest of the request resets the connection after its answer.
        Err(error) if error.kind() != ErrorKind::ConnectionReset || answer.is_empty() => Err(error),
        _ => Ok(answer),
    }
}

/// Form encoding: everything but letters and digits as percent escapes.
pub(crate) fn form(fields: &[(&str, &str)]) -> String {
    let fields: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{}={}", percent_encode(name), percent_encode(value)))
        .collect();
    fields.join("&")
}

pub(crate) fn percent_encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("text grows");
        }
    }
    encoded
}

pub(crate) fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = (byte == b'%').then(|| after.get(..2)).flatten();
        let escaped =
            escaped.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(escaped.unwrap_or(byte));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).expect("percent escapes of UTF-8")
}

/// Path and query of a URL: what is asked of the server under test, whatever its public name is.
#[track_caller]
pub(crate) fn target_of(url: &str) -> &str {
    let after_scheme = url.split_once("://").map(|(_, rest)| rest);
    match after_scheme {
        Some(rest) => &rest[rest.find('/').unwrap_or_else(|| panic!("{url:?} has no path"))..],
        None => url,
    }
}

/// A whole answer.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Reads the answer out of all the bytes of a connection; it is an error if any are missing.
    pub(crate) fn read(bytes: &[u8], to_head: bool) -> io::Result<Self> {
        let end = find(bytes, b"\r\n\r\n").ok_or_else(|| cut_off("in the head"))?;
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let rest = &bytes[end + 4..];
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
        let status: u16 = status.ok_or_else(|| io::Error::new(ErrorKind::InvalidData, head.clone()))?;
        if status < 200 {
            return Self::read(rest, to_head);
        }
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
            .collect();
        let mut answer = Self { status, headers, body: Vec::new() };
        answer.body =
            if to_head || matches!(status, 204 | 304) { rest.to_vec() } else { answer.unframe(rest)? };
        Ok(answer)
    }

    fn unframe(&self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        if self.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
            return unchunk(bytes);
        }
        match self.header("content-length").map(str::parse::<usize>) {
            Some(Ok(length)) if bytes.len() == length => Ok(bytes.to_vec()),
            Some(_) => Err(cut_off("in the body")),
            None => Ok(bytes.to_vec()),
        }
    }

    /// The header's value; none when it is absent.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    #[track_caller]
    pub(crate) fn required_header(&self, name: &str) -> &str {
        self.header(name).unwrap_or_else(|| panic!("no {name} header in {self}"))
    }

    /// All header lines, as text, for searching.
    pub(crate) fn head(&self) -> String {
        let lines: Vec<String> =
            self.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        lines.join("\n")
    }

    /// The media type, without its parameters.
    pub(crate) fn media_type(&self) -> &str {
        let media_type = self.header("content-type").unwrap_or_default();
        media_type.split(';').next().unwrap_or_default().trim()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn page(&self) -> Page {
        assert_eq!(self.media_type(), "text/html", "{self}");
        Page::new(&self.text())
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("not JSON ({error}): {self}"))
    }

    /// Fails unless the status is this one.
    #[track_caller]
    pub(crate) fn expect(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "{self}");
        self
    }

    /// Whole seconds to wait, at least one.
    #[track_caller]
    pub(crate) fn retry_after(&self) -> u64 {
        let seconds = self.required_header("retry-after");
        let seconds =
            seconds.parse().unwrap_or_else(|_| panic!("Retry-After is no number of seconds: {self}"));
        assert!(seconds >= 1, "a Retry-After that asks to come back at once: {self}");
        seconds
    }

    /// Fails unless this is a problem of this status and reason with all the members that every problem has, and gives
    /// the document for a closer look.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, reason: &str) -> Value {
        let problem = self.problem_of_any_reason(status);
        assert_eq!(problem["reason"], reason, "{self}");
        problem
    }

    /// The same when the contract does not pin the reason.
    #[track_caller]
    pub(crate) fn problem_of_any_reason(&self, status: u16) -> Value {
        self.expect(status);
        assert_eq!(self.media_type(), "application/problem+json", "{self}");
        let problem = self.json();
        assert_eq!(problem["status"], status, "{self}");
        for member in ["type", "title", "detail", "reason", "request_id"] {
            let text = problem[member].as_str();
            assert!(text.is_some_and(|text| !text.is_empty()), "no text in {member:?}: {self}");
        }
        assert_eq!(self.header("x-request-id"), problem["request_id"].as_str(), "{self}");
        if matches!(status, 429 | 503) {
            self.retry_after();
        }
        problem
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text: String = self.text().chars().take(2000).collect();
        write!(formatter, "{}\n{}\n{text}", self.status, self.head())
    }
}

fn unchunk(mut bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = find(bytes, b"\r\n").ok_or_else(|| cut_off("between chunks"))?;
        let size =
            std::str::from_utf8(&bytes[..end]).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
        let size = size.ok_or_else(|| cut_off("in a chunk's size"))?;
        bytes = &bytes[end + 2..];
        if size == 0 {
            return Ok(body);
        }
        body.extend_from_slice(bytes.get(..size).ok_or_else(|| cut_off("in a chunk"))?);
        bytes = bytes.get(size + 2..).ok_or_else(|| cut_off("after a chunk"))?;
    }
}

fn cut_off(place: &str) -> io::Error {
    io::Error::new(ErrorKind::UnexpectedEof, format!("the answer was cut off {place}"))
}

/// Where the needle is first found.
pub(crate) fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
