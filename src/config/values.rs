//! The forms of flags' values: sizes, numbers, addresses to listen on, and yes or no.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Parses a variable that stands for a flag. Unlike clap's own parser, it takes an empty value for no, as a
/// variable that is not set.
pub(super) fn yes_or_no(value: &str) -> Result<bool, String> {
    match value.to_ascii_lowercase().as_str() {
        "1" | "t" | "true" | "y" | "yes" | "on" => Ok(true),
        "" | "0" | "f" | "false" | "n" | "no" | "off" => Ok(false),
        _ => Err("must be yes or no, true or false, on or off, or 1 or 0".to_owned()),
    }
}

/// The units of sizes, each with its bytes.
const UNITS: [(&str, u64); 3] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// Returns a parser of a size: a number of bytes, or of a unit.
pub(super) fn size<T: TryFrom<u64> + 'static>(
    range: RangeInclusive<u64>,
    example: &'static str,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static {
    move |text| {
        let unit = UNITS.iter().find_map(|(unit, bytes)| Some((text.strip_suffix(*unit)?, *bytes)));
        let (digits, unit_bytes) = unit.unwrap_or((text, 1));
        let bytes = whole_number(digits).and_then(|number| number.checked_mul(unit_bytes));
        bytes.filter(|bytes| range.contains(bytes)).and_then(|bytes| T::try_from(bytes).ok()).ok_or_else(
            || {
                let (min, max) = (Size(*range.start()), Size(*range.end()));
                format!("must be a size from {min} to {max}, in bytes, KiB, MiB or GiB, as in {example}")
            },
        )
    }
}

/// Returns a parser of a number without a unit.
pub(super) fn number(
    range: RangeInclusive<u32>,
    example: u32,
) -> impl Fn(&str) -> Result<u32, String> + Clone + Send + Sync + 'static {
    move |text| {
        let number = whole_number(text).and_then(|number| u32::try_from(number).ok());
        number.filter(|number| range.contains(number)).ok_or_else(|| {
            format!("must be a whole number from {} to {}, as in {example}", range.start(), range.end())
        })
    }
}

/// Parses digits. [`str::parse`] also accepts a sign.
fn whole_number(digits: &str) -> Option<u64> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// Shows bytes in the largest unit of which they are a whole number.
struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.iter().rfind(|(_, bytes)| self.0.is_multiple_of(*bytes)) {
            Some((unit, bytes)) => write!(f, "{}{unit}", self.0 / bytes),
            None => write!(f, "{}", self.0),
        }
    }
}

/// An address and a port, as an operator writes them: the address may be a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenAddress(String);

impl ListenAddress {
    /// Returns the addresses of the name, in the order of the system's resolver. An address that is not a
    /// name is returned as it is.
    ///
    /// # Errors
    ///
    /// The name cannot be resolved.
    pub fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        self.0.to_socket_addrs().map(Iterator::collect)
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ListenAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let has_name = text.rsplit_once(':').is_some_and(|(name, port)| {
            !name.is_empty()
                && name.bytes().all(is_of_name)
                && whole_number(port).is_some_and(|port| port <= u16::MAX.into())
        });
        if has_name || text.parse::<SocketAddr>().is_ok() {
            return Ok(Self(text.to_owned()));
        }
        Err("must be an address or a name, and a port, as in 127.0.0.1:9000, [::1]:9000 or localhost:9000")
    }
}
