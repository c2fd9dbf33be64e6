//! Joins a log to its stream: finds the place in the stream that the log's copy has reached.

use std::sync::Arc;

use super::StreamLog;
use crate::log::stream::copied::Copied;
use crate::log::stream::copier::Copier;
use crate::log::stream::judge::Judge;
use crate::log::stream::message::{self, Checksum, Genesis, Head, Unreadable};
use crate::log::stream::reader::READ_BYTES_MAX;
use crate::log::stream::watch::Watch;
use crate::log::stream::{Stream, StreamError, marker};
use crate::log::{Disk, EventLog, FileLog, LogError};

impl<S: Stream, D: Disk> StreamLog<S, D> {
    /// Finds the end of the copy in the stream. Returns `false` if that is not possible yet.
    pub(super) fn join(&mut self) -> Result<bool, LogError> {
        match self.reader.stream.check() {
            Ok(true) => {}
            // What was reported before nobody answered was perhaps reported by nodes that were about to stop.
            Ok(false) => {
                self.watch = Watch::default();
                return Ok(false);
            }
            // A node that has started, and has not read its files yet, may say so of a stream that it has.
            Err(LogError::Stream(StreamError::Missing { .. })) if self.copied.frames > 0 => {
                if !self.watch.is_reported_shorter() {
                    tracing::warn!(
                        stream = self.reader.name,
                        "a node says that the stream does not exist; waiting before this is believed"
                    );
                }
                let looked = self.watch.note_last(self.now(), self.copied.frames + 1, 0);
                return looked.map(|()| false).map_err(|_| self.reader.diverged("it does not exist"));
            }
            Err(error) => return Err(error),
        }
        let Some(first) = self.reader.fetch_one(1)? else { return Ok(false) };
        let is_sound = |message: &[u8]| message::read_genesis(message) != Err(Unreadable::Stray);
        let Ok(first) = self.reader.as_published(1, first, is_sound) else { return Ok(false) };
        let genesis = message::read_genesis(&first).map_err(|unreadable| match unreadable {
            Unreadable::Stray => self.reader.diverged("its first message is not the beginning of a log"),
            Unreadable::Unknown => self.later_release(1),
        })?;
        let copied = self.copy.as_ref().map(FileLog::id).filter(|_| self.copied.frames > 0);
        if let Some(copied) = copied.filter(|copied| *copied != genesis.log) {
            let what = format!(
                "it holds log {}, and the directory holds log {copied}: unless it was deleted and created again, \
                 --nats-stream or --data is another one than before",
                genesis.log
            );
            return Err(self.reader.diverged(&what));
        }
        let judge = if self.copied.frames == 0 {
            Some(Judge::after_genesis(genesis, &first))
        } else {
            self.find_copied(genesis)?
        };
        if let Some(judge) = judge {
            self.watch = Watch::default();
            self.status.set_sequence(judge.judged);
            self.begin_to_copy(genesis)?;
            self.judge = Some(judge);
        }
        Ok(self.judge.is_some())
    }

    /// Begins to copy frames. Before the directory gets its first one, it is marked as a copy.
    fn begin_to_copy(&mut self, genesis: Genesis) -> Result<(), LogError> {
        let Some(mut copy) = self.copy.take() else { return Ok(()) };
        if self.copied.frames == 0 {
            match marker::mark(copy.disk(), &self.reader.name, genesis.log) {
                Err(error) if error.is_no_room() => {
                    self.status.end_copying(&error);
                    return Ok(());
                }
                marked => marked?,
            }
        }
        copy.adopt(genesis.log, genesis.epoch);
        self.copier = Some(Copier::start(copy, Arc::clone(&self.status))?);
        Ok(())
    }

    /// Finds the copy's last frame in the stream. Messages that do not count may stand between those that do.
    fn find_copied(&mut self, genesis: Genesis) -> Result<Option<Judge>, LogError> {
        let mut sequence = self.copied.frames + 1;
        loop {
            let Some(messages) = self.reader.fetch(sequence, READ_BYTES_MAX)? else { return Ok(None) };
            let is_empty = messages.is_empty();
            for message in messages {
                // A message that is passed over wrongly may come again, where it does not count.
                let Ok(message) = self.reader.frame_as_published(sequence, message, genesis.log) else {
                    return Ok(None);
                };
                let Copied { last, chain, ref header, .. } = self.copied;
                let read = message::read_frame(&message, genesis.log).ok();
                let is_end = |(head, frame): &(Head, &[u8])| head.chain == chain && frame.starts_with(header);
                if let Some((head, _)) = read.filter(is_end) {
                    self.note_writer(head.writer);
                    let header = &self.copied.header;
                    let (chain, next) = (chain.after(header), last.next());
                    let last = (sequence, Checksum::of(&message));
                    let (judged, counted) = (sequence, sequence);
                    return Ok(Some(Judge { genesis, judged, last, counted, chain, next }));
                }
                sequence += 1;
            }
            if is_empty {
                if let Some(end) = self.reader.stream.probe() {
                    let now = self.now();
                    self.watch.note_last(now, sequence, end).map_err(|what| self.reader.diverged(&what))?;
                }
                return Ok(None);
            }
        }
    }
}
