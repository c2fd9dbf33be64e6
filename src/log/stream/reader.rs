//! Reads the messages of a stream in their order, and as they were published: a node may leave one out, or have it
//! damaged, and then another node is asked.

use std::collections::VecDeque;

use super::message::{self, Unreadable};
use super::{Stream, StreamError};
use crate::log::{LogError, LogId};

/// Length of the messages that are read together, in bytes, roughly.
pub(super) const READ_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Times that the nodes are asked for a message that they leave out. Any of them may answer.
const LEFT_OUT_MAX: u32 = 20;
/// Times that a message must be read again that is not sound, before it is believed that it was published so.
const REREADS: usize = 20;
/// Attempts to do so.
const REREADS_MAX: usize = 3 * REREADS;

/// Reads the messages of a stream.
pub(super) struct Reader<S> {
    pub(super) stream: S,
    /// The name of the stream, for messages to people.
    pub(super) name: String,
    /// Messages that were read, and not judged yet. The first one follows the last that was judged.
    unjudged: VecDeque<Vec<u8>>,
    /// Times in a row that the nodes left out the message that was asked for.
    left_out: u32,
}

impl<S: Stream> Reader<S> {
    pub(super) fn of(stream: S, name: String) -> Self {
        Self { stream, name, unjudged: VecDeque::new(), left_out: 0 }
    }

    /// Returns the error that the stream is not, or no more, the one that this server has seen.
    pub(super) fn diverged(&self, what: &str) -> LogError {
        StreamError::Diverged { stream: self.name.clone(), what: what.to_owned() }.into()
    }

    /// Reads messages from this sequence on, without a gap, of about this length together. Returns `None` if no node
    /// answers.
    pub(super) fn fetch(&mut self, from: u64, bytes_max: usize) -> Result<Option<Vec<Vec<u8>>>, LogError> {
        let Ok(read) = self.stream.read(from, bytes_max) else { return Ok(None) };
        let is_there = read.is_empty() || read[0].0 == from;
        let follow = (from..).zip(read).take_while(|(sequence, (read, _))| sequence == read);
        let messages: Vec<_> = follow.map(|(_, (_, message))| message).collect();
        if !messages.is_empty() {
            self.left_out = 0;
        } else if !is_there {
            // A node may have lost a message, and then leaves it out. Another one may answer the next time.
            self.left_out += 1;
            if self.left_out >= LEFT_OUT_MAX {
                return Err(
                    self.diverged(&format!("message {from} is on no node that answers, and later ones are"))
                );
            }
        }
        Ok(Some(messages))
    }

    /// Reads the message at this sequence. Returns `None` if it is not there, or if no node answers.
    pub(super) fn fetch_one(&mut self, sequence: u64) -> Result<Option<Vec<u8>>, LogError> {
        Ok(self.fetch(sequence, 1)?.and_then(|messages| messages.into_iter().next()))
    }

    /// Returns whether all that was read is judged.
    pub(super) fn is_all_judged(&self) -> bool {
        self.unjudged.is_empty()
    }

    /// Reads on from this sequence, if all that was read is judged.
    pub(super) fn read_on(&mut self, next: u64) -> Result<(), LogError> {
        if self.is_all_judged() {
            let messages = self.fetch(next, READ_BYTES_MAX)?;
            self.unjudged.extend(messages.unwrap_or_default());
        }
        Ok(())
    }

    /// Takes the next message that was read, which has this sequence, as it was published. Returns `None` if there is
    /// none, or if it is not sound and the nodes do not tell now whether it was published so.
    pub(super) fn next_message(&mut self, sequence: u64, log: LogId) -> Option<Vec<u8>> {
        let message = self.unjudged.pop_front()?;
        match self.frame_as_published(sequence, message, log) {
            Ok(message) => Some(message),
            Err(unsound) => {
                self.put_back(unsound);
                None
            }
        }
    }

    /// Puts back a message that was taken, so that it is the next one again.
    pub(super) fn put_back(&mut self, message: Vec<u8>) {
        self.unjudged.push_front(message);
    }

    /// Does what [`as_published`](Self::as_published) does for a message that may hold a frame of this log.
    pub(super) fn frame_as_published(
        &mut self,
        sequence: u64,
        message: Vec<u8>,
        log: LogId,
    ) -> Result<Vec<u8>, Vec<u8>> {
        let is_sound = |message: &[u8]| message::read_frame(message, log) != Err(Unreadable::Stray);
        self.as_published(sequence, message, is_sound)
    }

    /// Returns the message at this sequence, read again and again if it is not sound: another node may have it as it was
    /// published. If too few nodes answer, returns the message as the error.
    pub(super) fn as_published(
        &mut self,
        sequence: u64,
        message: Vec<u8>,
        is_sound: impl Fn(&[u8]) -> bool,
    ) -> Result<Vec<u8>, Vec<u8>> {
        if is_sound(&message) {
            return Ok(message);
        }
        let mut same = 0;
        for _ in 0..REREADS_MAX {
            let again = self.stream.read(sequence, 1).unwrap_or_default().into_iter().next();
            match again {
                Some((read, again)) if read == sequence && is_sound(&again) => return Ok(again),
                Some((read, _)) if read == sequence => same += 1,
                Some(_) | None => {}
            }
            if same == REREADS {
                return Ok(message);
            }
        }
        Err(message)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{Heard, Published, Unreachable};
    use super::*;

    /// Answers of nodes, one for each time that a message is read. After them, no node answers.
    #[derive(Default)]
    struct Answers(VecDeque<Vec<(u64, Vec<u8>)>>);

    impl Stream for Answers {
        fn read(&mut self, _from: u64, _bytes_max: usize) -> Result<Vec<(u64, Vec<u8>)>, Unreachable> {
            self.0.pop_front().ok_or(Unreachable)
        }

        fn check(&mut self) -> Result<bool, LogError> {
            unreachable!("a reader only reads")
        }

        fn message_bytes_max(&self) -> usize {
            unreachable!("a reader only reads")
        }

        fn publish(&mut self, _expected: u64, _message: &[u8], _patience: Duration) -> Published {
            unreachable!("a reader only reads")
        }

        fn probe(&mut self) -> Option<u64> {
            unreachable!("a reader only reads")
        }

        fn heard(&self) -> Heard {
            unreachable!("a reader only reads")
        }

        fn wake_by(&mut self, _wake: Box<dyn Fn() + Send + Sync>) {}

        fn time(&self) -> Duration {
            unreachable!("a reader only reads")
        }

        fn wait(&mut self, _time: Duration) {}
    }

    const SOUND: &[u8] = b"sound";
    const UNSOUND: &[u8] = b"unsound";

    fn reader(answers: impl IntoIterator<Item = Vec<(u64, &'static [u8])>>) -> Reader<Answers> {
        let owned = |answer: Vec<(u64, &[u8])>| {
            answer.into_iter().map(|(sequence, message)| (sequence, message.to_vec())).collect()
        };
        Reader::of(Answers(answers.into_iter().map(owned).collect()), "tea".to_owned())
    }

    /// Reads message 7 again, which was read as unsound, while these messages are answered.
    fn read_again(answers: impl IntoIterator<Item = (u64, &'static [u8])>) -> Result<Vec<u8>, Vec<u8>> {
        let mut reader = reader(answers.into_iter().map(|answer| vec![answer]));
        reader.as_published(7, UNSOUND.to_vec(), |message| message == SOUND)
    }

    #[test]
    fn a_message_is_unsound_only_if_the_nodes_say_so_again_and_again() {
        // Another node has it as it was published.
        assert_eq!(read_again([(7, UNSOUND), (8, SOUND), (7, SOUND)]), Ok(SOUND.to_vec()));
        // All of them have it so.
        assert_eq!(read_again([(7, UNSOUND); REREADS]), Ok(UNSOUND.to_vec()));
        // Too few of them answer.
        assert_eq!(read_again([(7, UNSOUND); REREADS - 1]), Err(UNSOUND.to_vec()));
        assert_eq!(read_again([]), Err(UNSOUND.to_vec()));
    }

    #[test]
    fn messages_are_read_without_a_gap() {
        let mut reader = reader([vec![(1, SOUND), (2, SOUND), (4, SOUND)], vec![(4, SOUND)], vec![]]);
        let mut fetch = |from| reader.fetch(from, 1).expect("nothing is lost").map(|read| read.len());
        assert_eq!([fetch(1), fetch(3), fetch(3), fetch(3)], [Some(2), Some(0), Some(0), None]);
    }

    #[test]
    fn a_message_that_is_left_out_again_and_again_is_lost() {
        let mut reader = reader((0..LEFT_OUT_MAX).map(|_| vec![(4, SOUND)]));
        for _ in 1..LEFT_OUT_MAX {
            assert_eq!(reader.fetch(3, 1).expect("not known yet"), Some(Vec::new()));
        }
        let lost = reader.fetch(3, 1).expect_err("no node has it").to_string();
        assert!(lost.contains("message 3 is on no node that answers"), "{lost}");
    }
}
