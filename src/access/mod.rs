//! Credentials and rates: who a caller is, and how much a caller may ask for.
//!
//! Nothing here knows a file, a socket or a clock: texts, addresses and times come in, and verdicts go out.

mod failures;
mod proxies;
mod rates;
mod token_sub;

pub use failures::Failures;
pub use proxies::TrustedProxies;
pub use rates::{Exceeded, Left, Quota, UserRates};
pub use token_sub::TokenSub;
