//! The routes, and the answers outside the calls: the API's document, unknown paths, wrong methods.

use std::convert::Infallible;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::handler::Handler;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use foldhash::HashMap;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, lazy};
use percent_encoding::percent_decode_str;
use tower::{Layer, Service, service_fn};
use tower_http::cors::CorsLayer;

use crate::http::admission::Rule;
use crate::http::answer::codes::Code;
use crate::http::answer::problem::{Problem, shown};
use crate::http::app::App;
use crate::http::calls::table::{AnswerFn, Call, answer_fn, call};
use crate::http::calls::{chats, edits, events, health, messages, metrics, privacy, reactions, users};
use crate::http::metrics::{HttpMetrics, RouteMetrics};
use crate::http::openapi::{self, DescribedCall};
use crate::http::request::body;
use crate::http::web::{chat_page, cors, docs_page};

/// The router: it answers each request by its path and its method.
pub struct Router {
    pub(crate) app: Arc<App>,
    routes: HashMap<String, Arc<Route>>,
    /// The metrics of all paths without a route.
    without_route: RouteMetrics,
    cors: Option<CorsLayer>,
}

/// A route. No route has parameters, so a path names its route completely.
pub(crate) struct Route {
    pub(crate) path: String,
    method: Method,
    rule: Rule,
    metrics: RouteMetrics,
    answer: AnswerFn,
}

impl Router {
    /// Returns the router of this app.
    #[must_use]
    pub fn new(app: Arc<App>) -> Self {
        let metrics = &app.metrics;
        let of_calls = calls(app.keyed().is_some()).into_iter().map(|call| Route::of_call(call, metrics));
        let of_docs = docs_page::ASSETS.iter().map(|asset| {
            Route::of_file(asset.path, async move |headers: HeaderMap| (asset.answer)(&headers), metrics)
        });
        let of_page = chat_page::FILES.iter().map(|file| {
            Route::of_file(file.path, async move |headers: HeaderMap| file.answer(&headers), metrics)
        });
        let routes: Vec<_> = of_calls.chain(of_docs).chain(of_page).collect();
        Self::of(app, routes)
    }

    /// Returns a router of these routes.
    pub(crate) fn of(app: Arc<App>, routes: impl IntoIterator<Item = Route>) -> Self {
        let routes = routes.into_iter().map(|route| (route.path.clone(), Arc::new(route))).collect();
        let without_route = app.metrics.of_route(None, [StatusCode::NOT_FOUND]);
        let cors = app.cors_origins.as_ref().map(cors::layer);
        Self { app, routes, without_route, cors }
    }

    /// Answers a request, without the request's id, checks and metrics, which the connection adds.
    pub fn answer(&self, request: Request) -> BoxFuture<'static, Response> {
        self.answer_at(self.route_of(request.uri().path()), request)
    }

    /// Returns the route of this path, if it has one. The path may be percent-encoded, but an encoded slash separates
    /// nothing (RFC 3986, 2.2).
    pub(crate) fn route_of(&self, path: &str) -> Option<&Arc<Route>> {
        if !path.contains('%') {
            return self.routes.get(path);
        }
        let slashes = |path: &str| path.matches('/').count();
        let decoded = percent_decode_str(path).decode_utf8().ok()?;
        // A percent sign that encodes nothing is left as it is, and no route has one.
        self.routes.get(&*decoded).filter(|route| slashes(&route.path) == slashes(path))
    }

    /// Answers a request. `route` is the route of its path, if it has one.
    pub(crate) fn answer_at(
        &self,
        route: Option<&Arc<Route>>,
        request: Request,
    ) -> BoxFuture<'static, Response> {
        let Some(cors) = &self.cors else { return routed(&self.app, route, request) };
        let (app, route) = (Arc::clone(&self.app), route.cloned());
        let inner = move |request| routed(&app, route.as_ref(), request).map(Ok::<_, Infallible>);
        let answering = cors.layer(service_fn(inner)).call(request);
        answering.map(|Ok(answer)| answer).boxed()
    }

    /// Counts a request that was answered, and the time that it took. `route` is the route of its path, if it has one.
    pub(crate) fn count(&self, route: Option<&Route>, status: StatusCode, took: Duration) {
        route.map_or(&self.without_route, |route| &route.metrics).observe(status, took);
    }
}

impl Route {
    fn of_call(Call { described, answer }: Call, metrics: &HttpMetrics) -> Self {
        let DescribedCall { path, item, rule, .. } = described;
        let method = if item.get.is_some() { Method::GET } else { Method::POST };
        let operations = [item.get, item.post].into_iter().flatten();
        let documented = operations.flat_map(|operation| operation.responses.responses.into_keys());
        let documented = documented.map(|status| status.parse().expect("a status"));
        let metrics = metrics.of_route(Some(&path), documented.chain([StatusCode::METHOD_NOT_ALLOWED]));
        Self { path, method, rule, metrics, answer }
    }

    /// Returns the route of a file, which everyone may get.
    pub(crate) fn of_file<T: 'static>(
        path: &str,
        handler: impl Handler<T, Arc<App>, Future = BoxFuture<'static, Response>>,
        metrics: &HttpMetrics,
    ) -> Self {
        let metrics = metrics.of_route(Some(path), [StatusCode::OK]);
        let (path, method, rule) = (path.to_owned(), Method::GET, Rule::Everyone);
        Self { path, method, rule, metrics, answer: answer_fn(handler) }
    }

    /// Returns the methods that it answers, as the header `Allow` lists them.
    fn allowed(&self) -> &'static str {
        if self.method == Method::GET { "GET,HEAD" } else { "POST" }
    }
}

/// Answers a request without regard to CORS. `route` is the route of its path, if it has one.
fn routed(app: &Arc<App>, route: Option<&Arc<Route>>, mut request: Request) -> BoxFuture<'static, Response> {
    let is_head = request.method() == Method::HEAD;
    let method = if is_head { &Method::GET } else { request.method() };
    // A problem holds the request's id, which is known only when the future is polled.
    let answering = match route {
        None => lazy(|_| not_found(request)).boxed(),
        Some(route) if *method != route.method => {
            let route = Arc::clone(route);
            lazy(move |_| method_not_allowed(&route, request)).boxed()
        }
        Some(route) => {
            // Only admission with credentials reads the rule.
            if app.keyed().is_some() {
                request.extensions_mut().insert(route.rule);
            }
            (route.answer)(request, Arc::clone(app))
        }
    };
    if is_head { answering.map(without_body).boxed() } else { answering }
}

/// Removes the body of an answer to GET: then it is the answer to HEAD (RFC 9110, 9.3.2).
fn without_body(mut answer: Response) -> Response {
    if let Some(bytes) = answer.body().size_hint().exact() {
        answer.headers_mut().insert(header::CONTENT_LENGTH, bytes.into());
    }
    *answer.body_mut() = Body::empty();
    answer
}

/// Returns all calls. Some of them are there only where calls need credentials.
fn calls(is_keyed: bool) -> Vec<Call> {
    let calls = [
        users::calls(),
        privacy::calls(),
        chats::calls(),
        messages::calls(),
        edits::calls(),
        reactions::calls(),
        events::calls(),
        health::calls(),
        metrics::calls(),
        vec![
            call!(Rule::Everyone, document),
            call!(Rule::Everyone, docs_page::get),
            call!(Rule::Everyone, chat_page::get),
        ],
    ];
    let mut calls: Vec<_> = calls.into_iter().flatten().collect();
    if is_keyed {
        calls.extend(users::calls_with_credentials());
        calls.extend(events::calls_with_credentials());
    }
    calls
}

/// The OpenAPI 3.1 document: this one.
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "server",
    responses((status = OK, description = "The document.", body = Object))
)]
async fn document(State(app): State<Arc<App>>) -> Response {
    static OPEN: LazyLock<Bytes> = LazyLock::new(|| document_of(false));
    static KEYED: LazyLock<Bytes> = LazyLock::new(|| document_of(true));
    let document = if app.keyed().is_some() { &KEYED } else { &OPEN };
    ([(header::CONTENT_TYPE, "application/json")], Bytes::clone(document)).into_response()
}

fn document_of(is_keyed: bool) -> Bytes {
    openapi::document(calls(is_keyed).into_iter().map(|call| call.described), is_keyed)
}

fn not_found(request: Request) -> Response {
    let detail = format!("there is no route {}", shown(request.uri().path()));
    body::discard(request);
    Problem::new(Code::RouteNotFound, detail).into_response()
}

fn method_not_allowed(route: &Route, request: Request) -> Response {
    let (method, path) = (shown(request.method().as_str()), &route.path);
    let detail = format!("{path} does not answer {method}; the header Allow says what it answers");
    body::discard(request);
    let mut answer = Problem::new(Code::MethodNotAllowed, detail).into_response();
    answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static(route.allowed()));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ServeConfig;
    use crate::engine::ReplayProgress;

    fn router() -> Router {
        let app = App::starting(Arc::new(ReplayProgress::default()), &ServeConfig::default());
        Router::new(Arc::new(app))
    }

    #[test]
    fn a_route_is_known_by_its_whole_path() {
        assert!(calls(true).iter().all(|call| !call.described.path.contains('{')), "no parameters");
        let router = router();
        let route_of = |path: &str| router.route_of(path).map(|route| route.path.clone());
        for path in ["/", "/messages/add", "/events", "/metrics", "/docs/start.js", "/page/page.js"] {
            assert_eq!(route_of(path).as_deref(), Some(path));
        }
        for path in ["", "/nothing", "/messages/add/", "/messages/Add"] {
            assert_eq!(route_of(path), None);
        }
        for path in ["/messages/%61dd", "/%6D%65ssages/ad%64", "/messages/%61%64%64"] {
            assert_eq!(route_of(path).as_deref(), Some("/messages/add"), "{path}");
        }
        for path in [
            "/messages%2Fadd",
            "/messages%2fadd",
            "%2fmessages/add",
            "/messages/%2561dd",
            "/%ff",
            "/%",
            "/messages/add%",
        ] {
            assert_eq!(route_of(path), None, "{path}");
        }
    }

    #[tokio::test]
    async fn the_document_and_its_page_are_there_while_the_server_starts() {
        let router = router();
        for path in ["/docs", "/openapi.json"].into_iter().chain(docs_page::ASSETS.map(|asset| asset.path)) {
            let request = Request::get(path).body(Body::empty()).expect("a request");
            assert_eq!(router.answer(request).await.status(), 200, "{path}");
        }
    }
}
