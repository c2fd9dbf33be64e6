//! The header `Chinwag-Min-Position`: a client that has seen a position on one server is answered by another one only
//! when that has the position, too.

use std::time::Duration;

use axum::http::HeaderMap;

use super::value::position;
use crate::domain::Position;
use crate::engine::Engine;
use crate::http::admission::Caller;
use crate::http::answer::codes::Code;
use crate::http::answer::problem::Problem;
use crate::http::app::App;
use crate::http::headers::MIN_POSITION;

/// The position that an answer must rest on, or a later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MinPosition(Position);

impl MinPosition {
    /// Returns the position that a request asks for, which may be given once.
    pub(super) fn asked(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let Some(text) = MIN_POSITION.only_value(headers)? else { return Ok(None) };
        let refused = || Problem::invalid_field(MIN_POSITION.shown, "must be a position", Some(&text));
        position(&text).map(|position| Some(Self(position))).ok_or_else(refused)
    }

    /// Waits until the model has the position. Alone, a server has all positions that there are.
    pub(crate) async fn reached(self, app: &App, engine: &Engine, caller: &Caller) -> Result<(), Problem> {
        let Self(min) = self;
        let last = engine.position();
        if last >= min {
            return Ok(());
        }
        if engine.stream().is_none() {
            let what = format!("must not be beyond the last position, {last}");
            return Err(Problem::invalid_field(MIN_POSITION.shown, &what, Some(&min.to_string())));
        }
        let time_max = Duration::from_millis(app.limits.follow_timeout_ms.into());
        engine.reached(min, time_max).await;
        let last = engine.position();
        if last < min {
            let detail = format!("this server has the log up to position {last}, and not yet up to {min}");
            return Err(Problem::new(Code::Behind, detail));
        }
        // What came meanwhile may have revoked the credentials.
        app.admit_again(engine, caller)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_one_position() {
        let headers = |values: &[&str]| -> HeaderMap {
            values.iter().map(|value| (MIN_POSITION.name.clone(), value.parse().expect("a header"))).collect()
        };
        assert_eq!(MinPosition::asked(&headers(&[])).expect("none"), None);
        let asked = MinPosition::asked(&headers(&["17"])).expect("one");
        assert_eq!(asked, Some(MinPosition(Position(17))));
        for bad in ["", "x", "-1", "+1", "1.0", "18446744073709551616", "17-0", "17-00000000000000ab"] {
            assert!(MinPosition::asked(&headers(&[bad])).is_err(), "{bad}");
        }
        assert!(MinPosition::asked(&headers(&["17", "17"])).is_err());
    }
}
