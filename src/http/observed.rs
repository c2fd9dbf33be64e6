//! What is done about every request, whatever its route: it has an id, it is counted and timed, and if it was slow
//! that is said.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use parking_lot::Mutex;
use tower::Service;

use super::problem::Problem;
use super::request_id::{REQUEST_ID, RequestId};
use super::{App, route_of};

/// A request that takes longer is said out loud.
const SLOW: Duration = Duration::from_secs(1);
/// But not more often: where all are slow, one line tells as much as thousands.
const SLOW_INTERVAL: Duration = Duration::from_secs(1);

/// Has the router answer. It is no layer of the router's: those cost every request an allocation or two.
pub(super) fn observe(
    app: &Arc<App>,
    router: &Router,
    request: Request,
) -> impl Future<Output = Response> + use<> {
    let app = Arc::clone(app);
    let began = Instant::now();
    let request_id = RequestId::of(request.headers());
    let route = route_of(request.uri().path());
    // A router is ready at all times.
    let answering = AssertUnwindSafe(router.clone().call(request)).catch_unwind();
    // A bug in one handler is one client's 500. The panic's own message is in the log already.
    let answering = answering.map(|answer| match answer {
        Ok(Ok(answer)) => answer,
        Err(_) => Problem::internal().into_response(),
    });
    request_id.clone().scope(answering).map(move |mut response| {
        response.headers_mut().insert(REQUEST_ID, request_id.to_header());
        app.observed(&Answered { request_id, route, status: response.status(), took: began.elapsed() });
        response
    })
}

struct Answered {
    request_id: RequestId,
    route: Option<&'static str>,
    status: StatusCode,
    took: Duration,
}

impl App {
    fn observed(&self, answered: &Answered) {
        let &Answered { ref request_id, route, status, took } = answered;
        self.metrics.observe(route, status, took);
        let status = status.as_u16();
        tracing::debug!(
            request_id = request_id.to_string(),
            route,
            status,
            took_us = took.as_micros(),
            "answered"
        );
        if took > SLOW {
            self.slow.say(answered, Instant::now());
        }
    }
}

/// Slow requests, told at intervals.
#[derive(Default)]
pub(super) struct Slow(Mutex<Told>);

#[derive(Default)]
struct Told {
    last: Option<Instant>,
    untold: u64,
}

impl Slow {
    fn say(&self, answered: &Answered, now: Instant) {
        let Some(untold) = self.0.lock().tell(now) else { return };
        tracing::warn!(
            request_id = answered.request_id.to_string(),
            route = answered.route,
            status = answered.status.as_u16(),
            took_ms = answered.took.as_millis(),
            others_before = untold,
            "a request was slow"
        );
    }
}

impl Told {
    /// How many were not told since the last one that was, if this one is to be.
    fn tell(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) < SLOW_INTERVAL) {
            self.untold += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_requests_are_told_once_an_interval_with_the_number_of_the_others() {
        let (mut told, start) = (Told::default(), Instant::now());
        assert_eq!(told.tell(start), Some(0));
        assert_eq!(told.tell(start), None);
        assert_eq!(told.tell(start + SLOW_INTERVAL / 2), None);
        assert_eq!(told.tell(start + SLOW_INTERVAL), Some(2));
        assert_eq!(told.tell(start + 3 * SLOW_INTERVAL), Some(0));
    }
}
