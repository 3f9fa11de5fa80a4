//! Strict parser of the framing of a chunked body (RFC 9112 section 7.1). It has none of the RFC's leniencies: if one
//! recipient ends a line at a bare line feed and another does not, they see different bodies.

use super::bytes;
use super::error::HeadError;

/// Maximum number of hexadecimal digits of a size: 64 bits.
const MAX_DIGITS: u8 = 16;
/// Maximum number of bytes of all extensions of a body; they are ignored.
const MAX_EXTENSIONS: u16 = 4 * 1024;
/// Maximum number of bytes of the trailer section; it is dropped.
const MAX_TRAILERS: u16 = 16 * 1024;

/// The state of the parser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunks {
    place: ChunkState,
    extensions: u16,
    trailers: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChunkState {
    /// In the digits of a size.
    Size { digits: u8, size: u64 },
    /// After the size, before the end of its line.
    Extension { size: u64 },
    /// After the carriage return of that line.
    SizeEnd { size: u64 },
    /// So many bytes of data follow.
    Data { left: u64 },
    /// After the data: a carriage return follows.
    DataOver,
    /// After the carriage return that follows the data.
    DataEnd,
    /// At the beginning of a line of the trailer section.
    Trailer,
    /// In the name of a trailer field.
    TrailerName,
    /// In its value.
    TrailerValue,
    /// After the carriage return of that line.
    TrailerEnd,
    /// After the carriage return of the last line.
    LastEnd,
    /// The body is complete.
    Over,
    /// The framing was malformed.
    Broken,
}

impl Default for Chunks {
    fn default() -> Self {
        Self { place: ChunkState::Size { digits: 0, size: 0 }, extensions: 0, trailers: 0 }
    }
}

impl Chunks {
    /// Parses bytes as they arrive. Returns how many of them belong to the body. Fails if the framing is malformed, the
    /// extensions exceed 4 KiB or the trailers exceed 16 KiB; once failed, every later call fails.
    pub fn follow(&mut self, octets: &[u8]) -> Result<usize, HeadError> {
        let mut rest = octets;
        while let [next, behind @ ..] = rest {
            if let ChunkState::Data { left } = self.place {
                rest = self.skip(left, rest);
            } else if self.is_over() {
                break;
            } else {
                self.place = self.step(*next).inspect_err(|_| self.place = ChunkState::Broken)?;
                rest = behind;
            }
        }
        Ok(octets.len() - rest.len())
    }

    /// Whether the body is complete.
    pub fn is_over(&self) -> bool {
        self.place == ChunkState::Over
    }

    fn skip<'a>(&mut self, left: u64, octets: &'a [u8]) -> &'a [u8] {
        let past = usize::try_from(left).map_or(octets.len(), |left| left.min(octets.len()));
        let left = left.saturating_sub(u64::try_from(past).unwrap_or(u64::MAX));
        self.place = if left == 0 { ChunkState::DataOver } else { ChunkState::Data { left } };
        octets.get(past..).unwrap_or_default()
    }

    fn step(&mut self, next: u8) -> Result<ChunkState, HeadError> {
        Ok(match (self.place, next) {
            (ChunkState::Size { digits: 1.., size }, b'\r') => ChunkState::SizeEnd { size },
            (ChunkState::Size { digits: 1.., size }, b';') => ChunkState::Extension { size },
            (ChunkState::Size { digits: digits @ ..MAX_DIGITS, size }, digit) => {
                let value = bytes::hexadecimal(digit).ok_or(HeadError::Chunks)?;
                ChunkState::Size { digits: digits + 1, size: size << 4 | u64::from(value) }
            }
            (ChunkState::Extension { size }, b'\r') => ChunkState::SizeEnd { size },
            (ChunkState::Extension { size }, inside) => {
                within(&mut self.extensions, MAX_EXTENSIONS)?;
                text(inside)?;
                ChunkState::Extension { size }
            }
            (ChunkState::SizeEnd { size: 0 }, b'\n') => ChunkState::Trailer,
            (ChunkState::SizeEnd { size }, b'\n') => ChunkState::Data { left: size },
            (ChunkState::DataOver, b'\r') => ChunkState::DataEnd,
            (ChunkState::DataEnd, b'\n') => ChunkState::Size { digits: 0, size: 0 },
            (ChunkState::Trailer, b'\r') => ChunkState::LastEnd,
            (ChunkState::Trailer | ChunkState::TrailerName, name) if bytes::is_token(name) => {
                within(&mut self.trailers, MAX_TRAILERS)?;
                ChunkState::TrailerName
            }
            (ChunkState::TrailerName, b':') => ChunkState::TrailerValue,
            (ChunkState::TrailerValue, b'\r') => ChunkState::TrailerEnd,
            (ChunkState::TrailerValue, inside) => {
                within(&mut self.trailers, MAX_TRAILERS)?;
                text(inside)?;
                ChunkState::TrailerValue
            }
            (ChunkState::TrailerEnd, b'\n') => ChunkState::Trailer,
            (ChunkState::LastEnd, b'\n') => ChunkState::Over,
            _ => return Err(HeadError::Chunks),
        })
    }
}

fn within(count: &mut u16, most: u16) -> Result<(), HeadError> {
    *count = count.saturating_add(1);
    if *count > most { Err(HeadError::Chunks) } else { Ok(()) }
}

/// Horizontal tab is the only control character allowed in a line.
fn text(octet: u8) -> Result<(), HeadError> {
    if octet.is_ascii_control() && octet != b'\t' { Err(HeadError::Chunks) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// How many octets belong to the body, once it is over; `None` before.
    fn end(octets: &[u8]) -> Result<Option<usize>, HeadError> {
        let mut chunks = Chunks::default();
        let taken = chunks.follow(octets)?;
        Ok(chunks.is_over().then_some(taken))
    }

    #[test]
    fn a_body_ends_with_its_last_chunk_and_trailers() {
        for body in [
            "0\r\n\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
            "005\r\nhello\r\nA;x=\"a\tb\"\r\n0123456789\r\n0;y\r\n\r\n",
            "1\r\n\n\r\n00\r\na: b\r\nc:\r\n\r\n",
        ] {
            for behind in ["", "GET / HTTP/1.1\r\n", "\r\n"] {
                let whole = format!("{body}{behind}");
                assert_eq!(end(whole.as_bytes()), Ok(Some(body.len())), "{whole:?}");
            }
            assert_eq!(end(&body.as_bytes()[..body.len() - 1]), Ok(None));
        }
    }

    #[test]
    fn what_another_reads_otherwise_is_refused() {
        for body in [
            "\r\n\r\n",
            ";x\r\n\r\n",
            " \r\n",
            "5\nhello",
            "5;x\nhello",
            "5 \r\nhello",
            "5\r\r\nhello",
            "5;\u{0}\r\nhello",
            "0x5\r\nhello",
            "+5\r\nhello",
            "5\r\nhello0\r\n\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "00000000000000005\r\nhello",
            "0\r\ngarbage no colon\r\n\r\n",
            "0\r\na: \u{0}b\r\n\r\n",
            "0\r\nsub : x\r\n\r\n",
            "0\r\n: x\r\n\r\n",
            "0\r\n folded\r\n\r\n",
            "0\r\na: b\n\r\n",
            "0\r\n\n",
        ] {
            assert_eq!(end(body.as_bytes()), Err(HeadError::Chunks), "{body:?}");
        }
    }

    #[test]
    fn what_is_beside_the_data_is_bounded() {
        let extension = |length| format!("1;{}\r\nx\r\n", "e".repeat(length));
        let most = usize::from(MAX_EXTENSIONS);
        assert_eq!(end(extension(most).as_bytes()), Ok(None));
        assert_eq!(end(extension(most + 1).as_bytes()), Err(HeadError::Chunks));
        assert_eq!(end(extension(most / 16 + 1).repeat(16).as_bytes()), Err(HeadError::Chunks));
        let trailer = |length| format!("0\r\na:{}\r\n\r\n", "v".repeat(length));
        let most = usize::from(MAX_TRAILERS);
        assert!(matches!(end(trailer(most - 1).as_bytes()), Ok(Some(_))));
        assert_eq!(end(trailer(most).as_bytes()), Err(HeadError::Chunks));
    }

    #[test]
    fn what_is_broken_stays_so() {
        let mut chunks = Chunks::default();
        assert_eq!(chunks.follow(b"x"), Err(HeadError::Chunks));
        assert_eq!(chunks.follow(b"0\r\n\r\n"), Err(HeadError::Chunks));
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_the_octets_arrive(
            octets in "[0-2;\r\n\\x00 a:]{0,40}", cut in 0_usize..40,
        ) {
            let (one, two) = octets.as_bytes().split_at(cut.min(octets.len()));
            let mut chunks = Chunks::default();
            let parts = chunks.follow(one).and_then(|first| Ok(first + chunks.follow(two)?));
            let mut whole = Chunks::default();
            prop_assert_eq!(whole.follow(octets.as_bytes()), parts);
            prop_assert_eq!(whole, chunks);
        }
    }
}
