//! From the log to the model, at boot, on two cores: one indexes, the other fills the histories.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::log::{DecodeError, EventLog, LogError, Progress, spawn};
use crate::model::{Addition, Histories, Model};

/// So many blocks may wait to be taken in.
const BLOCKS_MAX: usize = 4;

pub(super) fn replay(log: &mut dyn EventLog, progress: &Progress) -> Result<Model, LogError> {
    let mut model = Model::default();
    let histories = model.detach_histories();
    let (blocks, filled) = sync_channel(BLOCKS_MAX);
    let filled = spawn("histories", || fill(histories, filled))?;
    let indexed = index(log, progress, &mut model, &blocks);
    drop(blocks);
    model.attach_histories(filled.join().expect("histories take in all that is indexed"));
    indexed?;
    model.put_in_order();
    Ok(model)
}

/// Takes in all events; sends on what they add to the histories.
fn index(
    log: &mut dyn EventLog,
    progress: &Progress,
    model: &mut Model,
    blocks: &SyncSender<Block>,
) -> Result<(), LogError> {
    let mut block = Block::default();
    log.replay(progress, &mut |frame| {
        frame.records(|record| {
            let position = model.position().next();
            let contradiction =
                || DecodeError::OtherString(format!("event {position} contradicts those before it"));
            let (_, addition) = model.try_index(&record).ok_or_else(contradiction)?;
            block.push(addition);
            if block.is_full() {
                blocks.send(std::mem::take(&mut block)).expect("taken until there are no more");
            }
            Ok(())
        })
    })?;
    blocks.send(block).expect("taken until there are no more");
    Ok(())
}

fn fill(mut histories: Histories, blocks: Receiver<Block>) -> Histories {
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
