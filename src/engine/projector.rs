//! The projector: it replays the log into the model at boot. For a long log it uses two cores: one indexes the events,
//! the other fills the histories.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::EngineSettings;
use crate::domain::Position;
use crate::log::{EventLog, LogError, Progress, SealedFrame};
use crate::model::{Addition, Histories, Index, Model};
use crate::thread::spawn;

/// Maximum number of blocks that wait for the thread that fills the histories.
const BLOCKS_MAX: usize = 4;

/// Replays the whole log into a new model.
pub(super) fn replay(
    log: &mut dyn EventLog,
    settings: EngineSettings,
    progress: &Progress,
) -> Result<Model, LogError> {
    let index = if settings.can_follow_all { Index::keeping_subjects() } else { Index::default() };
    let mut additions = Additions::default();
    let indexed = index_all(log, index, progress, &mut additions);
    let histories = additions.into_histories();
    Ok(Model::from_parts(indexed?, histories))
}

/// Adds all events to the index, and collects their additions to the histories.
fn index_all(
    log: &mut dyn EventLog,
    mut index: Index,
    progress: &Progress,
    additions: &mut Additions,
) -> Result<Index, LogError> {
    let mut replay = log.replay(progress)?;
    while let Some(frame) = replay.next_frame()? {
        additions.fill_beside_if_many()?;
        apply_frame(&frame, &mut index, additions).map_err(|cause| replay.damaged(&cause))?;
    }
    Ok(index)
}

/// Indexes the events of a frame. If the frame has an error, returns its cause; some events may then be
/// indexed.
fn apply_frame(frame: &SealedFrame<'_>, index: &mut Index, additions: &mut Additions) -> Result<(), String> {
    index.enter_epoch(frame.epoch);
    for record in frame.records() {
        let record = record.map_err(|error| error.to_string())?;
        let position = index.position().next();
        let (_, addition) = index.try_apply(&record).ok_or_else(|| contradiction(position))?;
        additions.push(addition);
    }
    Ok(())
}

/// Returns the cause why the event at this position cannot be used.
pub(super) fn contradiction(position: Position) -> String {
    format!("event {position} contradicts those before it")
}

/// The additions to the histories, which another thread makes block by block if there are many.
#[derive(Default)]
struct Additions {
    /// `None` until there is more than one block.
    beside: Option<Beside>,
    block: Block,
}

/// The thread that fills the histories.
struct Beside {
    blocks: SyncSender<Block>,
    thread: JoinHandle<Histories>,
}

impl Additions {
    /// Starts the thread once the first block is full. For fewer additions, it would cost more than it saves.
    fn fill_beside_if_many(&mut self) -> Result<(), LogError> {
        if self.beside.is_none() && self.block.is_full() {
            let (blocks, filled) = sync_channel::<Block>(BLOCKS_MAX);
            let fill = move || {
                let mut histories = Histories::default();
                for block in filled {
                    block.add_to(&mut histories);
                }
                histories
            };
            self.beside = Some(Beside { blocks, thread: spawn("histories", fill)? });
        }
        Ok(())
    }

    #[inline]
    fn push(&mut self, addition: Addition<&str>) {
        self.block.push(addition);
        if self.block.is_full()
            && let Some(beside) = &self.beside
        {
            let block = std::mem::take(&mut self.block);
            beside.blocks.send(block).expect("filling goes on until this sender is dropped");
        }
    }

    /// Waits until all blocks but the last are in the histories, and adds the last one.
    fn into_histories(self) -> Histories {
        let filled = self.beside.map(|Beside { blocks, thread }| {
            drop(blocks);
            thread.join().expect("filling does not panic")
        });
        let mut histories = filled.unwrap_or_default();
        self.block.add_to(&mut histories);
        histories
    }
}

/// Additions and their texts, one text after the other; each addition holds its text's length.
#[derive(Default)]
struct Block {
    additions: Vec<Addition<usize>>,
    texts: String,
}

impl Block {
    fn push(&mut self, addition: Addition<&str>) {
        self.additions.push(addition.map_text(|text| {
            self.texts.push_str(text);
            text.len()
        }));
    }

    /// Returns whether the block should be sent. A block fits a processor core's own cache.
    fn is_full(&self) -> bool {
        const ADDITIONS_MAX: usize = 1024;
        const TEXT_BYTES_MAX: usize = 128 * 1024;
        self.additions.len() >= ADDITIONS_MAX || self.texts.len() >= TEXT_BYTES_MAX
    }

    fn add_to(self, histories: &mut Histories) {
        let mut texts = self.texts.as_str();
        for addition in self.additions {
            histories.add(addition.map_text(|len| {
                let (text, rest) = texts.split_at(len);
                texts = rest;
                text
            }));
        }
    }
}
