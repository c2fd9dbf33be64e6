//! The projector: it replays the log into the model at boot. It uses two cores: one indexes the events, the
//! other fills the histories.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

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
    let (blocks, filled) = sync_channel(BLOCKS_MAX);
    let filled = spawn("histories", || fill(filled))?;
    let index = if settings.can_follow_all { Index::keeping_subjects() } else { Index::default() };
    let indexed = index_all(log, index, progress, blocks);
    let histories = filled.join().expect("filling does not panic");
    Ok(Model::from_parts(indexed?, histories))
}

/// Adds all events to the index, and sends their additions to the other thread.
fn index_all(
    log: &mut dyn EventLog,
    mut index: Index,
    progress: &Progress,
    blocks: SyncSender<Block>,
) -> Result<Index, LogError> {
    let mut additions = Additions { blocks, block: Block::default() };
    let mut replay = log.replay(progress)?;
    while let Some(frame) = replay.next_frame()? {
        apply_frame(&frame, &mut index, &mut additions).map_err(|cause| replay.damaged(&cause))?;
    }
    additions.send();
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

fn fill(blocks: Receiver<Block>) -> Histories {
    let mut histories = Histories::default();
    for block in blocks {
        block.add_to(&mut histories);
    }
    histories
}

/// Sends additions to the histories, block by block.
struct Additions {
    blocks: SyncSender<Block>,
    block: Block,
}

impl Additions {
    #[inline]
    fn push(&mut self, addition: Addition<&str>) {
        self.block.push(addition);
        if self.block.is_full() {
            self.send();
        }
    }

    fn send(&mut self) {
        self.blocks
            .send(std::mem::take(&mut self.block))
            .expect("filling goes on until this sender is dropped");
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
