//! Answers every request, whatever its route: checks its `Host` and `Origin`, gives it an id, turns a panic into a 500,
//! counts and times it, and logs it if it was slow.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::Request;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use futures_util::future::lazy;
use parking_lot::Mutex;

use super::{browsers, host};
use crate::http::answer::codes::Code;
use crate::http::answer::problem::{Problem, shown};
use crate::http::headers::REQUEST_ID;
use crate::http::request::body;
use crate::http::request_id::RequestId;
use crate::http::router::{Route, Router};

/// Time after which a request counts as slow.
const SLOW: Duration = Duration::from_secs(1);
/// Minimum time between two log messages about slow requests. If all requests are slow, one message is
/// enough.
const SLOW_INTERVAL: Duration = Duration::from_secs(1);

/// Answers the request with the router. All that happens around that call is in this one function: a layer for each
/// part would cost every request an allocation or two.
pub(super) fn observe(
    router: &Arc<Router>,
    client: Option<SocketAddr>,
    request: Request,
) -> impl Future<Output = Response> + use<> {
    let router = Arc::clone(router);
    let began = Instant::now();
    let request_id = RequestId::of(request.headers());
    let route = router.route_of(request.uri().path()).cloned();
    let (method, other_path) = (request.method().clone(), path_to_log(request.uri(), route.as_deref()));
    let admitted = host::check(&request)
        .and_then(|host| browsers::check(&router.app, &request, host, path_of(route.as_deref())));
    let answering = match admitted {
        Ok(()) => router.answer_at(route.as_ref(), request),
        Err(problem) => {
            body::discard(request);
            // Not before it is polled: the problem says the request's id, which is known only then.
            lazy(|_| problem.into_response()).boxed()
        }
    };
    let answering = AssertUnwindSafe(answering).catch_unwind();
    // A bug in one handler causes one answer 500. The panic's own message is already in the log.
    let answering = answering.map(|answer| match answer {
        Ok(answer) => (answer, false),
        Err(_) => (Problem::usual(Code::Internal).into_response(), true),
    });
    request_id.clone().scope(answering).map(move |(mut response, has_panicked)| {
        response.headers_mut().insert(REQUEST_ID, request_id.to_header());
        let (status, took) = (response.status(), began.elapsed());
        router.count(route.as_deref(), status, took);
        Answered { request_id, method, other_path, route, status, client, took }.log(has_panicked);
        response
    })
}

/// Returns the path as it was sent, cut to a length that a log can bear, unless it is that of its route: then it needs
/// no copy. The query is left out: it may hold what must not be logged.
fn path_to_log(uri: &Uri, route: Option<&Route>) -> Option<String> {
    (path_of(route) != Some(uri.path())).then(|| shown(uri.path()))
}

fn path_of(route: Option<&Route>) -> Option<&str> {
    route.map(|route| &*route.path)
}

struct Answered {
    request_id: RequestId,
    method: Method,
    /// The path, unless it is that of the route.
    other_path: Option<String>,
    route: Option<Arc<Route>>,
    status: StatusCode,
    /// The client's address, or that of a proxy.
    client: Option<SocketAddr>,
    took: Duration,
}

impl Answered {
    fn log(&self, has_panicked: bool) {
        let &Self { ref request_id, ref method, ref other_path, ref route, status, client, took } = self;
        let (route, status) = (path_of(route.as_deref()), status.as_u16());
        let path = other_path.as_deref().or(route);
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
