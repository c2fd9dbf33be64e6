//! The times of lines: RFC 3339, or a number of Unix seconds or milliseconds.

use std::time::Duration;

use super::shown;
use crate::domain::Timestamp;

/// Parses a time of RFC 3339 that leaves the server's clock room for later times. If a clock is given, the
/// time must not be more than a day ahead of it, because a server would date all new events after that time.
pub(super) fn parse_time(text: &str, clock: Option<Timestamp>) -> Result<Timestamp, String> {
    let time = rfc3339(text);
    let time = time.ok_or_else(|| format!("time must be RFC 3339, from 1970 to 9998: {}", shown(text)))?;
    check_not_ahead(time, clock)
}

/// Parses a time as another system writes it: of RFC 3339, or a number. See [`parse_time`].
pub(super) fn parse_foreign_time(text: &str, clock: Option<Timestamp>) -> Result<Timestamp, String> {
    let time = unix(text).or_else(|| rfc3339(text)).ok_or_else(|| {
        let forms = "RFC 3339 with an offset, such as 2004-11-15T12:18:00Z, or Unix seconds or milliseconds";
        format!("time must be {forms}, from 1970 to 9998: {}", shown(text))
    })?;
    check_not_ahead(time, clock)
}

fn rfc3339(text: &str) -> Option<Timestamp> {
    let micros = text.parse::<jiff::Timestamp>().ok()?.as_microsecond();
    in_range(u64::try_from(micros).ok()?)
}

/// Parses a decimal number with an optional fraction. A number below 10^11 is seconds, which reach to the
/// year 5138; a larger one is milliseconds, which begin in 1973. No chat is so old or so far ahead that the
/// two could be confused. Microseconds of this century are out of range, and refused.
///
/// The digits are read as they are, because a float would lose some of them. Digits after the microseconds
/// are rounded: they are what a float of another system has left.
fn unix(text: &str) -> Option<Timestamp> {
    const MILLIS_MIN: u64 = 100_000_000_000;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let (micros_per_unit, places) = if whole < MILLIS_MIN { (1_000_000, 6) } else { (1_000, 3) };
    let mut digits = fraction.bytes().map(|digit| u64::from(digit - b'0')).chain(std::iter::repeat(0));
    let kept = digits.by_ref().take(places).fold(0, |sum, digit| sum * 10 + digit);
    let rounded_up = u64::from(digits.next() >= Some(5));
    in_range(whole.checked_mul(micros_per_unit)?.checked_add(kept + rounded_up)?)
}

fn in_range(micros: u64) -> Option<Timestamp> {
    Timestamp::from_micros(micros).filter(|&time| time < Timestamp::CLOCK_MAX)
}

fn check_not_ahead(time: Timestamp, clock: Option<Timestamp>) -> Result<Timestamp, String> {
    const AHEAD_MAX: Duration = Duration::from_hours(24);
    match clock {
        Some(clock) if time.saturating_since(clock) > AHEAD_MAX => Err(format!(
            "the time {time} is more than a day ahead of the system's clock, which shows {clock}; \
             --allow-future accepts it"
        )),
        _ => Ok(time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn foreign(text: &str) -> Result<String, String> {
        parse_foreign_time(text, None).map(|time| time.to_string())
    }

    #[test]
    fn numbers_are_seconds_or_milliseconds_by_size() {
        for (text, time) in [
            ("0", "1970-01-01T00:00:00.000000Z"),
            ("1355517523", "2012-12-14T20:38:43.000000Z"),
            ("1355517523.000005", "2012-12-14T20:38:43.000005Z"),
            ("1355517523.5", "2012-12-14T20:38:43.500000Z"),
            ("99999999999", "5138-11-16T09:46:39.000000Z"),
            ("100000000000", "1973-03-03T09:46:40.000000Z"),
            ("1355517523042", "2012-12-14T20:38:43.042000Z"),
            ("1355517523042.125", "2012-12-14T20:38:43.042125Z"),
            ("2004-11-15T13:18:00+01:00", "2004-11-15T12:18:00.000000Z"),
        ] {
            assert_eq!(foreign(text).as_deref(), Ok(time), "{text}");
        }
    }

    #[test]
    fn what_a_float_has_left_is_rounded() {
        assert_eq!(foreign("1355517523.0000049").expect("a time"), "2012-12-14T20:38:43.000005Z");
        assert_eq!(foreign("1355517523.00000449").expect("a time"), "2012-12-14T20:38:43.000004Z");
        assert_eq!(foreign("1355517523.9999999").expect("a time"), "2012-12-14T20:38:44.000000Z");
        assert_eq!(foreign("1355517523042.1239").expect("a time"), "2012-12-14T20:38:43.042124Z");
    }

    #[test]
    fn other_numbers_are_refused() {
        let microseconds = "1355517523000005";
        for text in
            [microseconds, "-1", "1e9", "1355517523.", ".5", "", ".", "1.2.3", "١٢", "99999999999999999999"]
        {
            let what = foreign(text).expect_err(text);
            assert!(what.contains("Unix seconds or milliseconds"), "{what}");
        }
    }

    #[test]
    fn an_export_has_no_numbers_for_times() {
        assert!(parse_time("1355517523", None).expect_err("a number").contains("RFC 3339"));
    }
}
