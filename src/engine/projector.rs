//! From the log to the model, at boot.

use crate::log::{DecodeError, EventLog, LogError, Progress};
use crate::model::Model;

pub(super) fn replay(log: &mut dyn EventLog, progress: &Progress) -> Result<Model, LogError> {
    let mut model = Model::default();
    log.replay(progress, &mut |frame| {
        frame.records(|record| {
            let position = model.position().next();
            let contradiction =
                || DecodeError::OtherString(format!("event {position} contradicts those before it"));
            model.try_apply(&record).map(|_| ()).ok_or_else(contradiction)
        })
    })?;
    model.put_in_order();
    Ok(model)
}
