//! Observes every request, whatever its route: gives it an id, counts and times it, and logs it if it was
//! slow.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Request;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use futures_util::future::{self, Either};
use parking_lot::Mutex;
use tower::Service;

use super::{browsers, host};
use crate::http::answer::codes::Code;
use crate::http::answer::problem::{Problem, shown};
use crate::http::app::App;
use crate::http::headers::REQUEST_ID;
use crate::http::request::body;
use crate::http::request_id::RequestId;
use crate::http::router::route_of;

/// Time after which a request counts as slow.
const SLOW: Duration = Duration::from_secs(1);
/// Minimum time between two log messages about slow requests. If all requests are slow, one message is
/// enough.
const SLOW_INTERVAL: Duration = Duration::from_secs(1);

/// Answers the request with the router. It is not one of the router's layers: each of those costs every
/// request an allocation or two.
pub(super) fn observe(
    app: &Arc<App>,
    router: &Router,
    client: Option<SocketAddr>,
    mut request: Request,
) -> impl Future<Output = Response> + use<> {
    let app = Arc::clone(app);
    let began = Instant::now();
    let request_id = RequestId::of(request.headers());
    let route = route_of(request.uri().path(), app.keyed().is_some());
    let (method, path) = (request.method().clone(), path_to_log(request.uri(), route));
    let admitted = host::check(&request).and_then(|host| browsers::check(&app, &request, host, route));
    let answering = match admitted {
        Ok(()) => {
            if let Some(route) = route {
                decode_path(request.uri_mut(), route);
            }
            // A router is always ready, so `poll_ready` is not needed.
            Either::Left(router.clone().call(request))
        }
        Err(problem) => {
            body::discard(request);
            Either::Right(future::lazy(|_| Ok(problem.into_response())))
        }
    };
    let answering = AssertUnwindSafe(answering).catch_unwind();
    // A bug in one handler causes one answer 500. The panic's own message is already in the log.
    let answering = answering.map(|answer| match answer {
        Ok(Ok(answer)) => (answer, false),
        Err(_) => (Problem::usual(Code::Internal).into_response(), true),
    });
    request_id.clone().scope(answering).map(move |(mut response, has_panicked)| {
        response.headers_mut().insert(REQUEST_ID, request_id.to_header());
        let (status, took) = (response.status(), began.elapsed());
        let answered = Answered { request_id, method, path, route, status, client, took };
        app.metrics.observe(answered.route, answered.status, answered.took);
        answered.log(has_panicked);
        response
    })
}

/// Returns the path as it was sent, cut to a length that a log can bear. The query is left out: it may hold
/// what must not be logged.
fn path_to_log(uri: &Uri, route: Option<&'static str>) -> Cow<'static, str> {
    match route {
        // The path of nearly every request; it needs no copy.
        Some(route) if route == uri.path() => Cow::Borrowed(route),
        Some(_) | None => Cow::Owned(shown(uri.path())),
    }
}

/// Replaces a percent-encoded path with its route, because the router compares paths as they were sent.
fn decode_path(uri: &mut Uri, route: &'static str) {
    if uri.path() != route {
        let path_and_query = uri.query().map_or_else(|| route.to_owned(), |query| format!("{route}?{query}"));
        let mut parts = std::mem::take(uri).into_parts();
        parts.path_and_query = Some(path_and_query.parse().expect("a route is a path"));
        *uri = Uri::from_parts(parts).expect("the other parts are those of a URI");
    }
}

struct Answered {
    request_id: RequestId,
    method: Method,
    path: Cow<'static, str>,
    route: Option<&'static str>,
    status: StatusCode,
    /// The client's address, or that of a proxy.
    client: Option<SocketAddr>,
    took: Duration,
}

impl Answered {
    fn log(&self, has_panicked: bool) {
        let &Self { ref request_id, ref method, ref path, route, status, client, took } = self;
        let (path, status) = (path.as_ref(), status.as_u16());
        // A number of 128 bits would be text in JSON.
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        macro_rules! line {
            ([$($log:tt)+] $message:literal $(, $field:ident = $value:expr)*) => {
                $($log)+(
                    request_id = request_id.to_string(),
                    method = shown(method.as_str()),
                    path,
                    route,
                    status,
                    client = client.map(tracing::field::display),
                    $($field = $value,)*
                    $message
                )
            };
        }
        line!([tracing::debug!] "answered", took_us = took_us);
        if has_panicked {
            line!([tracing::error!] "a request panicked", took_us = took_us);
        }
        if took > SLOW
            && let Some(suppressed) = SLOW_LINES.lock().next(Instant::now())
        {
            line!([tracing::warn!] "a request was slow", took_ms = took_us / 1_000, others_before = suppressed);
        }
    }
}

static SLOW_LINES: Mutex<SlowLines> = Mutex::new(SlowLines { last: None, suppressed: 0 });

/// Limits the rate of log lines about slow requests.
struct SlowLines {
    /// The time of the last line.
    last: Option<Instant>,
    /// Slow requests since then that got no line.
    suppressed: u64,
}

impl SlowLines {
    /// Returns the number of requests that got no line since the last one, if this one gets a line.
    fn next(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) < SLOW_INTERVAL) {
            self.suppressed += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_requests_get_one_line_an_interval() {
        let (mut lines, start) = (SlowLines { last: None, suppressed: 0 }, Instant::now());
        assert_eq!(lines.next(start), Some(0));
        assert_eq!(lines.next(start), None);
        assert_eq!(lines.next(start + SLOW_INTERVAL / 2), None);
        assert_eq!(lines.next(start + SLOW_INTERVAL), Some(2));
        assert_eq!(lines.next(start + 3 * SLOW_INTERVAL), Some(0));
    }
}
