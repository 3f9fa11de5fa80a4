//! Classes of bytes in HTTP and URIs.

const ONES: u64 = u64::from_le_bytes([1; 8]);
const HIGH: u64 = u64::from_le_bytes([0x80; 8]);

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler, which would refuse a panic"
)]
const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut octet: u8 = 0;
    while octet < 128 {
        let symbol = matches!(
            octet,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        );
        table[octet as usize] = symbol || octet.is_ascii_alphanumeric();
        octet += 1;
    }
    table
};

/// `tchar` of RFC 9110 section 5.6.2.
pub(super) fn is_token(octet: u8) -> bool {
    TOKEN.get(usize::from(octet)).copied().unwrap_or(false)
}

/// Whether the bytes are a token: one or more `tchar`.
pub(super) fn are_token(octets: &[u8]) -> bool {
    !octets.is_empty() && octets.iter().all(|octet| is_token(*octet))
}

/// `unreserved` of RFC 3986 section 2.3.
pub(super) const fn is_unreserved(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_' | b'~')
}

/// The value of one hexadecimal digit.
pub(super) const fn hexadecimal(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Trims optional white space (RFC 9110 section 5.6.3).
pub(super) const fn trim(mut octets: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = octets {
        octets = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = octets {
        octets = rest;
    }
    octets
}

/// Number of bytes before the first control character (below 0x20, or 0x7f). Eight bytes at a time, because
/// every byte of every request head is checked.
pub(super) fn run_without_controls(octets: &[u8]) -> usize {
    run(octets, controls, |octet| octet.is_ascii_control())
}

/// Number of bytes before the first line feed.
pub(super) fn run_without_line_feed(octets: &[u8]) -> usize {
    run(octets, |word| zeros(word ^ (ONES * 0x0a)), |octet| octet == b'\n')
}

fn run(octets: &[u8], in_word: impl Fn(u64) -> u64, is_hit: impl Fn(u8) -> bool) -> usize {
    let (words, rest) = octets.as_chunks::<8>();
    for (position, word) in words.iter().enumerate() {
        let hits = in_word(u64::from_le_bytes(*word));
        if hits != 0 {
            return position * 8 + (hits.trailing_zeros() / 8) as usize;
        }
    }
    let tail = rest.iter().position(|octet| is_hit(*octet)).unwrap_or(rest.len());
    words.len() * 8 + tail
}

/// Sets the high bit of bytes that are zero. Only the lowest hit is exact, because a borrow may affect those
/// after it.
const fn zeros(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGH
}

/// Sets the high bit of bytes below 0x20 or equal to 0x7f. Only the lowest hit is exact.
const fn controls(word: u64) -> u64 {
    let below = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
    below | zeros(word ^ (ONES * 0x7f))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_octet_is_judged_alike_alone_and_in_a_word() {
        for octet in 0..=255_u8 {
            for place in 0..24 {
                let mut octets = [b'a'; 24];
                octets[place] = octet;
                let expected = if octet.is_ascii_control() { place } else { 24 };
                assert_eq!(run_without_controls(&octets), expected, "{octet:#x} at {place}");
            }
        }
    }

    #[test]
    fn white_space_is_taken_off_both_ends_only() {
        assert_eq!(trim(b" \t a b\t "), b"a b");
        assert_eq!(trim(b" \t"), b"");
    }

    proptest! {
        #[test]
        fn runs_end_at_the_first_hit(octets in prop::collection::vec(any::<u8>(), 0..64)) {
            let end = octets.len();
            let control = octets.iter().position(u8::is_ascii_control).unwrap_or(end);
            prop_assert_eq!(run_without_controls(&octets), control);
            let feed = octets.iter().position(|octet| *octet == b'\n').unwrap_or(end);
            prop_assert_eq!(run_without_line_feed(&octets), feed);
        }
    }
}
