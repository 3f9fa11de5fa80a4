//! Formatting and parsing of times and sizes.

use std::time::Duration;

const TIMES: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

const SIZES: [(&str, u64); 5] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Parses `250ms`, `5s`, `60m`, `24h`, `30d`.
pub(crate) fn parse_time(text: &str) -> Option<Duration> {
    parse(text, &TIMES).map(Duration::from_millis)
}

/// Parses `512B`, `16KiB`, `10MiB`, `1GiB`, `1TiB`, or a number of bytes.
pub(super) fn parse_size(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok();
    }
    parse(text, &SIZES)
}

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let end = text.find(|letter: char| !letter.is_ascii_digit())?;
    let (number, unit) = text.split_at(end);
    let (_, factor) = units.iter().find(|(known, _)| *known == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// Formats a time so that it can be parsed again.
pub(super) fn time_text(time: Duration) -> String {
    text(u64::try_from(time.as_millis()).unwrap_or(u64::MAX), &TIMES, "0s")
}

/// Formats a size so that it can be parsed again.
pub(super) fn size_text(size: u64) -> String {
    text(size, &SIZES, "0")
}

fn text(number: u64, units: &[(&str, u64)], zero: &str) -> String {
    if number == 0 {
        return zero.to_owned();
    }
    units
        .iter()
        .find(|(_, factor)| number.is_multiple_of(*factor))
        .map_or_else(|| number.to_string(), |(unit, factor)| format!("{}{unit}", number / factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_a_number_and_a_unit() {
        for (text, milliseconds) in
            [("250ms", 250), ("5s", 5000), ("60m", 3_600_000), ("30d", 2_592_000_000), ("0s", 0)]
        {
            assert_eq!(parse_time(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "5", "s", "-5s", "5.5s", "5 weeks", "5S", "99999999999999999999s"] {
            assert_eq!(parse_time(text), None, "{text}");
        }
        assert_eq!(parse_time("18446744073709551615d"), None);
    }

    #[test]
    fn sizes_are_bytes_or_a_number_and_a_unit() {
        for (text, bytes) in [("10MiB", 10 << 20), ("1 GiB", 1 << 30), ("512", 512), ("7B", 7)] {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
        }
        for text in ["MiB", "10MB", "1.5GiB", "-1", "99999999TiB"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }

    #[test]
    fn bounds_are_written_as_they_are_read() {
        assert_eq!(time_text(Duration::from_secs(90)), "90s");
        assert_eq!(time_text(Duration::from_secs(86_400)), "1d");
        assert_eq!(time_text(Duration::ZERO), "0s");
        assert_eq!(size_text(16 << 10), "16KiB");
        assert_eq!(size_text(0), "0");
    }
}
