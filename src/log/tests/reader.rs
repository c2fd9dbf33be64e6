//! A reader beside a server that writes the log: the directory and the file change between two reads.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{read_users, user_added};
use crate::domain::{Epoch, Position};
use crate::log::segment::{self, HEADER_BYTES, Header, LogId};
use crate::log::{Contents, DiskFile, Frame, LogError, LogReader, Progress, ReadDisk};

const LOG: LogId = LogId::from_bytes([4; 16]);

/// A disk whose every read sees the next state; the last state stays.
#[derive(Clone, Default)]
struct Changing {
    lists: Arc<Mutex<VecDeque<Vec<String>>>>,
    contents: Arc<Mutex<VecDeque<Vec<u8>>>>,
    is_copy: bool,
}

fn look<T: Clone>(states: &Mutex<VecDeque<T>>) -> T {
    let mut states = states.lock();
    if states.len() > 1 { states.pop_front().expect("several") } else { states[0].clone() }
}

impl ReadDisk for Changing {
    type File = Self;

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(look(&self.lists))
    }

    /// Opens the segment, or the mark of a copy.
    fn open_to_read(&self, name: &str) -> io::Result<Self> {
        let is_segment = segment::first_in_name(name).is_some();
        if is_segment || self.is_copy { Ok(self.clone()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn path(&self, name: &str) -> PathBuf {
        name.into()
    }
}

impl DiskFile for Changing {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.contents.lock()[0].len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).expect("small");
        buffer.copy_from_slice(&look(&self.contents)[start..start + buffer.len()]);
        Ok(())
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        unreachable!("a reader writes nothing")
    }

    fn allocate(&self, _: u64) -> io::Result<()> {
        unreachable!("a reader makes nothing")
    }

    fn sync(&self) -> io::Result<()> {
        unreachable!("a reader syncs nothing")
    }
}

/// Returns a segment with frames of one event each, of which those in `unseen` were read before they were
/// written.
fn seen(frames: u64, unseen: &[u64]) -> Vec<u8> {
    let mut bytes = Header::new(LOG, Position(1)).encode();
    for number in 1..=frames {
        let mut frame = Frame::new(Position(number));
        frame.push(&user_added(number));
        let sealed = frame.seal(LOG, Epoch(7));
        let zeros = vec![0; sealed.len()];
        bytes.extend_from_slice(if unseen.contains(&number) { &zeros } else { sealed });
    }
    bytes.resize(HEADER_BYTES + 1000, 0);
    bytes
}

/// Reads a log whose reads see these states of its segment.
fn read(looks: &[(u64, &[u64])]) -> Result<Contents, LogError> {
    read_from(Changing::default(), looks)
}

fn read_from(files: Changing, looks: &[(u64, &[u64])]) -> Result<Contents, LogError> {
    files.lists.lock().push_back(vec![segment::file_name(Position(1))]);
    files.contents.lock().extend(looks.iter().map(|(frames, unseen)| seen(*frames, unseen)));
    let (reader, progress) = (LogReader::new(files)?, Progress::default());
    let mut walk = reader.walk(&progress);
    read_users(&mut walk)?;
    Ok(walk.into_contents())
}

#[test]
fn a_broken_frame_of_a_copy_is_torn() {
    let copy = || Changing { is_copy: true, ..Changing::default() };
    let contents = read_from(copy(), &[(3, &[2]), (3, &[2])]).expect("sound");
    assert_eq!((contents.last, contents.torn.is_some()), (Position(1), true));
    // It is read again, too.
    let contents = read_from(copy(), &[(3, &[2]), (4, &[])]).expect("sound");
    assert_eq!((contents.last, contents.torn), (Position(4), None));
}

#[test]
fn a_frame_read_before_it_was_written_is_read_again() {
    let contents = read(&[(3, &[2]), (4, &[])]).expect("sound");
    assert_eq!((contents.last, contents.events), (Position(4), 4));
    let contents = read(&[(3, &[2]), (6, &[4, 5]), (8, &[7]), (9, &[])]).expect("sound, with a busy writer");
    assert_eq!((contents.last, contents.frames), (Position(9), 9));
    let contents = read(&[(3, &[3]), (9, &[])]).expect("sound");
    assert_eq!(contents.last, Position(2), "nothing behind it: the end as it was");
}

#[test]
fn a_frame_that_stays_broken_is_damage() {
    for looks in [&[(3, &[2_u64][..])][..], &[(3, &[1]), (6, &[4]), (9, &[4])]] {
        let (_, unseen) = looks.last().expect("some");
        match read(looks) {
            Err(LogError::Damaged { from, until, .. }) => {
                assert_eq!((from.0, until), (unseen[0], Some(Position(unseen[0] + 1))));
            }
            other => panic!("not damage: {other:?}"),
        }
    }
}

#[test]
fn a_segment_that_the_first_list_missed_is_read() {
    let names = |firsts: &[u64]| firsts.iter().map(|&first| segment::file_name(Position(first))).collect();
    let files = Changing::default();
    files.lists.lock().extend([names(&[1, 9]), names(&[1, 5, 9, 13])]);
    files.contents.lock().push_back(vec![0; 7]);
    let reader = LogReader::new(files).expect("listed");
    assert_eq!(reader.bytes_total().expect("measured"), 3 * 7, "1, 5 and 9");
}

#[test]
fn a_log_is_read_from_the_segment_that_holds_a_position() {
    let names: Vec<_> = [1, 5, 9].map(|first| segment::file_name(Position(first))).into();
    let files = Changing::default();
    files.lists.lock().push_back(names);
    files.contents.lock().push_back(vec![0; 7]);
    for (position, left) in [(0, 3), (1, 3), (4, 3), (5, 2), (8, 2), (9, 1), (99, 1)] {
        let reader = LogReader::new(files.clone()).expect("listed").starting_at(Position(position));
        assert_eq!(reader.bytes_total().expect("measured"), left * 7, "{position}");
    }
}
