//! The table of calls: what each path answers, its part of the API's document, and the rule of who may make it.

use std::sync::Arc;

use axum::extract::Request;
use axum::handler::Handler;
use axum::response::Response;
use futures_util::future::BoxFuture;
use utoipa_axum::router::UtoipaMethodRouter;

use crate::http::admission::Rule;
use crate::http::app::App;
use crate::http::openapi::DescribedCall;

/// A call: its part of the document with its rule, and the function that answers it.
pub(crate) struct Call {
    pub(crate) described: DescribedCall,
    pub(crate) answer: AnswerFn,
}

/// A function that answers a request.
pub(crate) type AnswerFn = Box<dyn Fn(Request, Arc<App>) -> BoxFuture<'static, Response> + Send + Sync>;

/// Returns a call that callers make by this rule, from the function that answers it.
macro_rules! call {
    ($rule:expr, $($handler:tt)+) => {
        $crate::http::calls::table::Call::new($rule, ::utoipa_axum::routes!($($handler)+), $($handler)+)
    };
}

pub(crate) use call;

impl Call {
    /// Returns a call. [`call!`] passes what utoipa says of the handler, and the handler itself.
    pub(crate) fn new<T: 'static>(
        rule: Rule,
        (schemas, paths, _): UtoipaMethodRouter<Arc<App>>,
        handler: impl Handler<T, Arc<App>, Future = BoxFuture<'static, Response>>,
    ) -> Self {
        let (path, item) = paths.paths.into_iter().next().expect("a call has a path");
        Self { described: DescribedCall { path, item, schemas, rule }, answer: answer_fn(handler) }
    }
}

/// Returns the function that answers with this handler. axum boxes a handler's future, so it is not boxed again here.
pub(crate) fn answer_fn<T: 'static>(
    handler: impl Handler<T, Arc<App>, Future = BoxFuture<'static, Response>>,
) -> AnswerFn {
    Box::new(move |request, app| handler.clone().call(request, app))
}
