//! Which web pages may call us (WHATWG Fetch, "CORS protocol").

use std::time::Duration;

use axum::http::{HeaderName, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::events::LAST_EVENT_ID;
use super::request_id::REQUEST_ID;
use super::write::{KEY, POSITION, REPLAYED};
use crate::config::CorsOrigins;

/// How long a browser need not ask again.
const MAX_AGE: Duration = Duration::from_hours(1);

pub(super) fn layer(origins: &CorsOrigins) -> CorsLayer {
    let origins = match origins {
        CorsOrigins::Any => AllowOrigin::any(),
        CorsOrigins::These(origins) => AllowOrigin::list(origins.iter().cloned()),
    };
    let name = |name: &str| HeaderName::try_from(name).expect("a header's name");
    CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([header::CONTENT_TYPE, name(KEY), name(LAST_EVENT_ID), REQUEST_ID])
        .expose_headers([POSITION, REPLAYED, REQUEST_ID, header::RETRY_AFTER])
        .max_age(MAX_AGE)
}
