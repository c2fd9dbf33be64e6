//! From the log to the model, at boot, on two cores: one indexes, the other fills the histories.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::log::{DecodeError, EventLog, LogError, Progress, spawn};
use crate::model::{Addition, Histories, Index, Model};

/// So many blocks may wait to be taken in.
const BLOCKS_MAX: usize = 4;

pub(super) fn replay(log: &mut dyn EventLog, progress: &Progress) -> Result<Model, LogError> {
    let (blocks, filled) = sync_channel(BLOCKS_MAX);
    let filled = spawn("histories", || fill(filled))?;
    let indexed = index(log, progress, &blocks);
    drop(blocks);
    let histories = filled.join().expect("histories take in all that is indexed");
    Ok(Model::from_parts(indexed?, histories))
}

/// Takes in all events; sends on what they add to the histories.
fn index(log: &mut dyn EventLog, progress: &Progress, blocks: &SyncSender<Block>) -> Result<Index, LogError> {
    let mut index = Index::default();
    let mut block = Block::default();
    log.replay(progress, &mut |frame| {
        frame.records(|record| {
            let position = index.position().next();
            let contradiction =
                || DecodeError::OtherString(format!("event {position} contradicts those before it"));
            let (_, addition) = index.try_apply(&record).ok_or_else(contradiction)?;
            block.push(addition);
            if block.is_full() {
                blocks.send(std::mem::take(&mut block)).expect("taken until there are no more");
            }
            Ok(())
        })
    })?;
    blocks.send(block).expect("taken until there are no more");
    Ok(index)
}

fn fill(blocks: Receiver<Block>) -> Histories {
    let mut histories = Histories::default();
    for block in blocks {
        block.add_to(&mut histories);
    }
    histories
}

/// Additions on their way; the texts one behind the other, each addition with its text's length.
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

    /// Small enough for a processor's own cache.
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
