//! The table of calls: the route of each, its part of the API's document, and the rule of who may make it.

use std::sync::Arc;

use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use crate::http::admission::Rule;
use crate::http::app::App;

/// Calls, each with its rule.
pub(crate) struct Calls {
    pub(crate) router: OpenApiRouter<Arc<App>>,
    /// The rule of each path. A path has one call.
    pub(crate) rules: Vec<(String, Rule)>,
}

impl Calls {
    /// Returns no calls.
    pub(crate) fn none() -> Self {
        Self { router: OpenApiRouter::new(), rules: Vec::new() }
    }

    /// Adds a call that callers make by this rule.
    pub(crate) fn call(mut self, rule: Rule, call: UtoipaMethodRouter<Arc<App>>) -> Self {
        let (_, paths, _) = &call;
        self.rules.extend(paths.paths.keys().map(|path| (path.clone(), rule)));
        Self { router: self.router.routes(call), ..self }
    }

    /// Adds these calls.
    pub(crate) fn and(mut self, others: Self) -> Self {
        self.rules.extend(others.rules);
        Self { router: self.router.merge(others.router), ..self }
    }
}
