//! A client of HTTP/1.1, as far as a load needs it: statuses, and where answers end.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::BufReader;
use tokio::net::TcpStream;

use crate::wire::{Answer, malformed, number, read_line, skip};

pub(crate) struct Requests {
    /// Bytes that all requests begin with.
    head: Vec<u8>,
    /// Bytes from the Content-Length on, for each body.
    tails: Vec<Vec<u8>>,
    /// Start of a header that ends with the number of the request.
    numbered: Option<String>,
}

impl Requests {
    pub(crate) fn new(address: SocketAddr, path: &str, bodies: &[&str], numbered: Option<&str>) -> Self {
        let head = format!("POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n");
        let tail = |body: &&str| format!("Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes();
        Self {
            head: head.into_bytes(),
            tails: bodies.iter().map(tail).collect(),
            numbered: numbered.map(str::to_owned),
        }
    }

    pub(crate) fn render(&self, number: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
        if let Some(header) = &self.numbered {
            write!(out, "{header}{number}\r\n").expect("a write to memory cannot fail");
        }
        out.extend_from_slice(&self.tails[number % self.tails.len()]);
    }
}

/// Reads one answer to its end. `line` is a buffer for its lines.
pub(crate) async fn read_answer(stream: &mut BufReader<TcpStream>, line: &mut Vec<u8>) -> io::Result<Answer> {
    read_line(stream, line).await?;
    let status = line.get(9..12).and_then(number).ok_or_else(|| malformed("status line", line))?;
    let status = u16::try_from(status).map_err(|_| malformed("status", line))?;
    let (mut length, mut chunked, mut retry_after) = (0, false, None);
    loop {
        read_line(stream, line).await?;
        if line.is_empty() {
            break;
        }
        let colon = line.iter().position(|byte| *byte == b':').ok_or_else(|| malformed("header", line))?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            length = number(value).ok_or_else(|| malformed("length", line))?;
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            chunked = value.eq_ignore_ascii_case(b"chunked");
        } else if name.eq_ignore_ascii_case(b"retry-after") {
            retry_after = number(value).map(|seconds| Duration::from_secs(seconds as u64));
        }
    }
    if chunked {
        skip_chunks(stream, line).await?;
    } else {
        skip(stream, length).await?;
    }
    Ok(Answer { status, retry_after })
}

async fn skip_chunks(stream: &mut BufReader<TcpStream>, line: &mut Vec<u8>) -> io::Result<()> {
    loop {
        read_line(stream, line).await?;
        let length = std::str::from_utf8(line).ok().and_then(|text| usize::from_str_radix(text, 16).ok());
        let length = length.ok_or_else(|| malformed("chunk", line))?;
        skip(stream, length).await?;
        // The line ending behind a chunk. The servers that we measure send no trailers.
        read_line(stream, line).await?;
        if length == 0 {
            return Ok(());
        }
    }
}
