//! What an operator does with the stream that several servers share, and with a copy of it.

use std::io::Write;
use std::path::Path;

use super::{ToolError, bar, print};
use crate::log::stream::{self, CreateStream, Created, NatsSettings, NatsStream, Source};
use crate::log::{LogError, LogId, LogReader, RealDisk};

/// Creates a stream on its nodes, and begins a log in it.
///
/// # Errors
///
/// The nodes cannot be reached, or refuse; or the stream exists, and is not as it must be or not wanted.
pub fn create_stream(settings: NatsSettings, create: CreateStream, out: impl Write) -> Result<(), ToolError> {
    let name = settings.stream.clone();
    let created = NatsStream::new(settings)?.create(create, &stream::new_genesis())?;
    print_created(name, created, Vec::new(), out)
}

/// Creates a stream on its nodes that begins with the log in this directory, or goes on with that.
///
/// # Errors
///
/// As for [`create_stream`]; or the directory is in use, is a copy of a stream, or holds no sound log; or the stream
/// exists, and holds anything but a beginning of the log.
pub fn create_stream_from(
    settings: NatsSettings,
    create: CreateStream,
    dir: &Path,
    out: impl Write,
) -> Result<(), ToolError> {
    let disk = lock(dir)?;
    stream::check_is_own(&disk)?;
    publish(settings, create, disk, out).map(|_| ())
}

/// Publishes what a stream has lost, from the copy in this directory. Creates the stream if it is missing.
///
/// # Errors
///
/// As for [`create_stream_from`]; or the directory is not a copy of this stream.
pub fn restore_stream(
    settings: NatsSettings,
    create: CreateStream,
    dir: &Path,
    out: impl Write,
) -> Result<(), ToolError> {
    let disk = lock(dir)?;
    stream::check_is_copy(&disk, &settings.stream)?;
    publish(settings, create, disk, out).map(|_| ())
}

/// Publishes the copy of another stream in this directory, which was scrubbed, to a new stream that takes the place of the
/// former. Then the directory is a copy of the new one.
///
/// # Errors
///
/// As for [`create_stream_from`]; or the directory is not a copy of another stream.
pub fn regenerate_stream(
    settings: NatsSettings,
    create: CreateStream,
    dir: &Path,
    out: impl Write,
) -> Result<(), ToolError> {
    let disk = lock(dir)?;
    let name = settings.stream.clone();
    stream::check_is_copy_of_another(&disk, &name)?;
    let log = publish(settings, create, disk.clone(), out)?;
    Ok(stream::mark(&disk, &name, log)?)
}

/// Locks a directory, so that no server writes to it. It must be there.
fn lock(dir: &Path) -> Result<RealDisk, LogError> {
    // Locking would create it.
    drop(LogReader::open(dir)?);
    RealDisk::lock(dir)
}

fn publish(
    settings: NatsSettings,
    create: CreateStream,
    disk: RealDisk,
    out: impl Write,
) -> Result<LogId, ToolError> {
    let name = settings.stream.clone();
    let reading = bar(LogReader::new(disk.clone())?.bytes_total()?);
    let log = Source::check(disk, &mut |bytes| reading.set_position(bytes))?;
    drop(reading);
    let mut nats = NatsStream::new(settings)?;
    let created = nats.create(create, &log.genesis())?;
    let publishing = bar(log.bytes());
    let frames = log.publish(nats, &name, &mut |bytes| publishing.set_position(bytes))?;
    drop(publishing);
    let (position, published) = (log.last().to_string(), format!("{frames} frames that were not there"));
    print_created(name, created, vec![("published", published), ("position", position)], out)?;
    Ok(log.id())
}

fn print_created(
    stream: String,
    created: Created,
    published: Vec<(&str, String)>,
    out: impl Write,
) -> Result<(), ToolError> {
    let is_new = if created.is_new { "yes" } else { "it was there" };
    let mut found = vec![("stream", stream), ("created", is_new.to_owned())];
    found.extend(published);
    found.extend(created.warnings.into_iter().map(|warning| ("warning", warning)));
    print(&found, out)
}

/// Names this release's format in a stream's metadata.
///
/// # Errors
///
/// The nodes cannot be reached, or refuse; or the stream is not as it must be, or was upgraded by a later release.
pub fn upgrade_stream(settings: NatsSettings, out: impl Write) -> Result<(), ToolError> {
    let name = settings.stream.clone();
    let upgraded = if NatsStream::new(settings)?.upgrade()? { "yes" } else { "it is up to date" };
    print(&[("stream", name), ("upgraded", upgraded.to_owned())], out)
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
    let stream = stream::detach(&lock(dir)?)?;
    print(&[("detached", format!("it is no longer a copy of stream {stream}"))], out)
}
