//! From the log to the model, at boot.

use crate::log::{DecodeError, EventLog, LogError, Progress};
use crate::model::Model;

pub(super) fn replay(log: &mut dyn EventLog, progress: &Progress) -> Result<Model, LogError> {
    let mut model = Model::default();
    log.replay(progress, &mut |frame| {
        frame.records(|record| {
            if !model.admits(&record) {
                let event = model.position().next();
                return Err(DecodeError::OtherString(format!("event {event} contradicts those before it")));
            }
            model.apply(&record);
            Ok(())
        })
    })?;
    Ok(model)
}
