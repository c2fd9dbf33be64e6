//! What an operator does with the stream that several servers share, and with a copy of it.

use std::io::Write;
use std::path::Path;

use super::{ToolError, print};
use crate::log::stream::{self, CreateStream, NatsSettings, NatsStream};
use crate::log::{LogReader, RealDisk};

/// Creates a stream on its nodes, and begins a log in it.
///
/// # Errors
///
/// The nodes cannot be reached, or refuse; or the stream exists, and is not as it must be or not wanted.
pub fn create_stream(settings: NatsSettings, create: CreateStream, out: impl Write) -> Result<(), ToolError> {
    let name = settings.stream.clone();
    let is_new = NatsStream::new(settings)?.create(create)?;
    print(&[("stream", name), ("created", if is_new { "yes" } else { "it was there" }.to_owned())], out)
}

/// Checks a stream and its nodes as a server does, and prints what they are.
///
/// # Errors
///
/// The nodes cannot be reached, or the stream is not as it must be.
pub fn check_stream(settings: NatsSettings, out: impl Write) -> Result<(), ToolError> {
    print(&NatsStream::new(settings)?.describe()?, out)
}

/// Makes the copy of a stream in this directory a log of its own.
///
/// # Errors
///
/// The directory is in use, or not a copy of a stream.
pub fn detach(dir: &Path, out: impl Write) -> Result<(), ToolError> {
    // Locking would create the directory.
    drop(LogReader::open(dir)?);
    let stream = stream::detach(&RealDisk::lock(dir)?)?;
    print(&[("detached", format!("it is no longer a copy of stream {stream}"))], out)
}
