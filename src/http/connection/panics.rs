//! Panics: a bug in one handler causes one answer 500 and one log message.

use std::backtrace::{Backtrace, BacktraceStatus};

use crate::http::request_id::current_request_id;

/// Logs panics from now on like everything else, with the id of the request that was being answered.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let backtrace = Backtrace::capture();
        let backtrace = (backtrace.status() == BacktraceStatus::Captured).then_some(backtrace);
        tracing::error!(
            request_id = current_request_id(),
            location = panic.location().map(tracing::field::display),
            backtrace = backtrace.map(tracing::field::display),
            "panicked: {}",
            panic.payload_as_str().unwrap_or("without a message")
        );
    }));
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::sync::Arc;

    use axum::body::Body;
    use axum::extract::Request;
    use axum::response::Response;
    use http_body_util::BodyExt;

    use super::*;
    use crate::config::ServeConfig;
    use crate::engine::ReplayProgress;
    use crate::http::App;
    use crate::http::connection::observe::observe;
    use crate::http::router::{Route, Router};

    const CHILD: &str = "CHINWAG_TEST_OF_PANICS";

    /// The hook belongs to the whole process, so a process of its own panics.
    #[test]
    fn a_panic_is_a_500_and_a_log_line() {
        if std::env::var_os(CHILD).is_some() {
            return panic_in_a_handler();
        }
        let test = std::thread::current().name().expect("a test's thread").to_owned();
        let child = Command::new(std::env::current_exe().expect("a test's binary"))
            .args(["--exact", "--nocapture", &test])
            .env(CHILD, "1")
            .output()
            .expect("it runs");
        let logged = String::from_utf8(child.stderr).expect("text");
        assert!(child.status.success(), "{logged}");
        let line = |message: &str| logged.lines().find(|line| line.contains(message)).expect(message);
        for word in ["ERROR", "request_id=\"mine\"", "panics.rs:"] {
            assert!(line("panicked: an inner secret").contains(word), "no {word} in {logged}");
        }
        for word in ["ERROR", "request_id=\"mine\"", "method=\"GET\"", "path=\"/\"", "status=500"] {
            assert!(line("a request panicked").contains(word), "no {word} in {logged}");
        }
    }

    #[tokio::main(flavor = "current_thread")]
    async fn panic_in_a_handler() {
        tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
        log_panics();
        let app = Arc::new(App::starting(Arc::new(ReplayProgress::default()), &ServeConfig::default()));
        let panic = async || -> Response { panic!("an inner secret") };
        let calls = [
            Route::of_file("/", panic, &app.metrics),
            Route::of_file("/neighbour", async || "fine", &app.metrics),
        ];
        let router = Arc::new(Router::of(app, calls));

        let request = Request::get("/")
            .header("host", "localhost")
            .header("x-request-id", "mine")
            .body(Body::empty())
            .expect("a request");
        let response = observe(&router, None, request).await;
        assert_eq!(response.status(), 500);
        let body = response.into_body().collect().await.expect("whole").to_bytes();
        let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!((&body["code"], &body["request_id"]), (&"internal".into(), &"mine".into()));
        assert!(!body.to_string().contains("secret"));

        let neighbour =
            Request::get("/neighbour").header("host", "localhost").body(Body::empty()).expect("a request");
        assert_eq!(observe(&router, None, neighbour).await.status(), 200);
    }
}
