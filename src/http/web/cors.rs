//! The web pages of other origins that may call the API (WHATWG Fetch, "CORS protocol").

use std::time::Duration;

use axum::http::{Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::config::CorsOrigins;
use crate::http::headers::{
    IDEMPOTENCY_KEY, LAST_EVENT_ID, MIN_POSITION, POSITION, RATE_LIMIT, RATE_LIMIT_POLICY, REPLAYED,
    REQUEST_ID,
};

/// Time for which a browser caches a permission.
const MAX_AGE: Duration = Duration::from_hours(1);

pub(crate) fn layer(origins: &CorsOrigins) -> CorsLayer {
    let origins = match origins {
        CorsOrigins::Any => AllowOrigin::any(),
        CorsOrigins::These(origins) => AllowOrigin::list(origins.iter().cloned()),
    };
    CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            IDEMPOTENCY_KEY.name.clone(),
            LAST_EVENT_ID.name.clone(),
            MIN_POSITION.name.clone(),
            REQUEST_ID,
        ])
        .expose_headers([
            POSITION,
            REPLAYED,
            REQUEST_ID,
            RATE_LIMIT,
            RATE_LIMIT_POLICY,
            header::RETRY_AFTER,
            header::WWW_AUTHENTICATE,
        ])
        .max_age(MAX_AGE)
}
