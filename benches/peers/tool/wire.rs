//! Reads answers. The protocols share an answer and the reading of its bytes.

use std::io::{self, ErrorKind};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;

/// A server's answer to one request.
pub(crate) struct Answer {
    /// Status as in HTTP, whatever the protocol.
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
}

/// Reads a line into `line`, without its line ending.
pub(crate) async fn read_line(stream: &mut BufReader<TcpStream>, line: &mut Vec<u8>) -> io::Result<()> {
    line.clear();
    stream.read_until(b'\n', line).await?;
    line.pop_if(|byte| *byte == b'\n').ok_or(ErrorKind::UnexpectedEof)?;
    line.pop_if(|byte| *byte == b'\r');
    Ok(())
}

pub(crate) async fn skip(stream: &mut BufReader<TcpStream>, mut bytes: usize) -> io::Result<()> {
    while bytes > 0 {
        let here = stream.fill_buf().await?.len().min(bytes);
        if here == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        stream.consume(here);
        bytes -= here;
    }
    Ok(())
}

pub(crate) fn number(text: &[u8]) -> Option<usize> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

pub(crate) fn malformed(what: &str, line: &[u8]) -> io::Error {
    io::Error::other(format!("malformed {what}: {}", String::from_utf8_lossy(line)))
}
