//! The routes, and the answers outside the calls: the API's document, unknown paths, wrong methods.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use foldhash::HashSet;
use percent_encoding::percent_decode_str;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::admission::Rule;
use crate::http::answer::codes::Code;
use crate::http::answer::problem::{Problem, shown};
use crate::http::app::App;
use crate::http::calls::table::Calls;
use crate::http::calls::{chats, edits, events, health, messages, metrics, privacy, reactions, users};
use crate::http::metrics::HttpMetrics;
use crate::http::openapi;
use crate::http::request::body;
use crate::http::web::{chat_page, cors, docs_page};

/// Returns all routes.
pub fn router(app: Arc<App>) -> Router {
    let is_keyed = app.keyed().is_some();
    let Calls { router, rules } = calls(is_keyed);
    if let Some(keyed) = app.keyed() {
        keyed.set_rules(rules.into_iter().collect());
    }
    let (routes, document) = router.split_for_parts();
    show_expected_answers(&app.metrics, &document);
    let routes = with_files(routes);
    let routes = routes.fallback(route_not_found).method_not_allowed_fallback(method_not_allowed);
    let routes = match &app.cors_origins {
        Some(origins) => routes.layer(cors::layer(origins)),
        None => routes,
    };
    routes.with_state(app)
}

/// Begins the counters of all documented answers at 0, and those of the answers to other paths and methods.
fn show_expected_answers(metrics: &HttpMetrics, document: &OpenApi) {
    for (path, item) in &document.paths.paths {
        let operations = [&item.get, &item.post].into_iter().flatten();
        for status in operations.flat_map(|operation| operation.responses.responses.keys()) {
            metrics.begin_at_0(Some(path), status);
        }
        metrics.begin_at_0(Some(path), StatusCode::METHOD_NOT_ALLOWED.as_str());
    }
    let files =
        docs_page::ASSETS.iter().map(|asset| asset.path).chain(chat_page::FILES.iter().map(|file| file.path));
    for path in files {
        metrics.begin_at_0(Some(path), StatusCode::OK.as_str());
    }
    metrics.begin_at_0(None, StatusCode::NOT_FOUND.as_str());
}

/// Returns all calls. Some of them are there only where calls need credentials.
fn calls(is_keyed: bool) -> Calls {
    let calls = Calls::none()
        .and(users::calls())
        .and(privacy::calls())
        .and(chats::calls())
        .and(messages::calls())
        .and(edits::calls())
        .and(reactions::calls())
        .and(events::calls())
        .and(health::calls())
        .and(metrics::calls())
        .call(Rule::Everyone, routes!(document))
        .call(Rule::Everyone, routes!(docs_page::get))
        .call(Rule::Everyone, routes!(chat_page::get));
    if is_keyed {
        calls.and(users::calls_with_credentials()).and(events::calls_with_credentials())
    } else {
        calls
    }
}

/// Adds the files of the pages.
fn with_files(routes: Router<Arc<App>>) -> Router<Arc<App>> {
    let docs = docs_page::ASSETS.iter().fold(routes, |routes, asset| {
        routes.route(asset.path, get(async move |headers: HeaderMap| (asset.answer)(&headers)))
    });
    chat_page::FILES.iter().fold(docs, |routes, file| {
        routes.route(file.path, get(async move |headers: HeaderMap| file.answer(&headers)))
    })
}

/// Returns the route of this path, if it has one. No route has parameters, so a path names its route
/// completely. The path may be percent-encoded, but an encoded slash separates nothing (RFC 3986, 2.2).
pub(crate) fn route_of(path: &str, is_keyed: bool) -> Option<&'static str> {
    static OPEN: LazyLock<HashSet<String>> = LazyLock::new(|| routes(false));
    static KEYED: LazyLock<HashSet<String>> = LazyLock::new(|| routes(true));
    let routes = if is_keyed { &KEYED } else { &OPEN };
    let route = |path: &str| routes.get(path).map(String::as_str);
    if !path.contains('%') {
        return route(path);
    }
    let slashes = |path: &str| path.matches('/').count();
    let decoded = percent_decode_str(path).decode_utf8().ok()?;
    // A percent sign that encodes nothing is left as it is, and no route has one.
    route(&decoded).filter(|route| slashes(route) == slashes(path))
}

fn routes(is_keyed: bool) -> HashSet<String> {
    let calls = calls(is_keyed).rules.into_iter().map(|(path, _)| path);
    let assets = docs_page::ASSETS.iter().map(|asset| asset.path);
    let files = chat_page::FILES.iter().map(|file| file.path);
    calls.chain(assets.chain(files).map(str::to_owned)).collect()
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
    let Calls { router, rules } = calls(is_keyed);
    let api = <openapi::Api as utoipa::OpenApi>::openapi();
    let api = OpenApiRouter::<Arc<App>>::with_openapi(api).merge(router).into_openapi();
    openapi::document(api, if is_keyed { Some(&rules) } else { None })
}

async fn route_not_found(request: Request) -> Problem {
    let detail = format!("there is no route {}", shown(request.uri().path()));
    body::discard(request);
    Problem::new(Code::RouteNotFound, detail)
}

async fn method_not_allowed(request: Request) -> Problem {
    let (method, path) = (shown(request.method().as_str()), shown(request.uri().path()));
    let detail = format!("{path} does not answer {method}; the header Allow says what it answers");
    body::discard(request);
    Problem::new(Code::MethodNotAllowed, detail)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use tower::ServiceExt;

    use super::*;
    use crate::config::ServeConfig;
    use crate::engine::ReplayProgress;

    #[test]
    fn a_route_is_known_by_its_whole_path() {
        assert!(routes(true).iter().all(|path| !path.contains('{')), "no parameters");
        for path in ["/", "/messages/add", "/events", "/metrics", "/docs/start.js", "/page/page.js"] {
            assert_eq!(route_of(path, false), Some(path));
        }
        for path in ["", "/nothing", "/messages/add/", "/messages/Add"] {
            assert_eq!(route_of(path, false), None);
        }
        for path in ["/messages/%61dd", "/%6D%65ssages/ad%64", "/messages/%61%64%64"] {
            assert_eq!(route_of(path, false), Some("/messages/add"), "{path}");
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
            assert_eq!(route_of(path, false), None, "{path}");
        }
    }

    #[tokio::test]
    async fn the_document_and_its_page_are_there_while_the_server_starts() {
        let app = App::starting(Arc::new(ReplayProgress::default()), &ServeConfig::default());
        let router = router(Arc::new(app));
        for path in ["/docs", "/openapi.json"].into_iter().chain(docs_page::ASSETS.map(|asset| asset.path)) {
            let request = Request::get(path).body(Body::empty()).expect("a request");
            let response = router.clone().oneshot(request).await.expect("infallible");
            assert_eq!(response.status(), 200, "{path}");
        }
    }
}
