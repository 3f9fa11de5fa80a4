//! The response to a WebSocket handshake: heads (RFC 9112 section 4) and, after a 101, frames.

use super::Frames;

/// The end of a head.
const END: [u8; 4] = *b"\r\n\r\n";
/// Length of `HTTP/1.1 101`.
const LINE: usize = 12;

/// Parses a response from its first byte.
#[derive(Clone, Copy, Debug)]
pub enum ResponseProgress {
    /// Within a head.
    Head {
        /// Its first bytes.
        line: [u8; LINE],
        /// How many of them were received.
        known: usize,
        /// How many bytes of the end of the head were matched.
        end: usize,
    },
    /// After a 101.
    Open(Frames),
    /// After any other final head: not a WebSocket.
    Other,
}

impl Default for ResponseProgress {
    fn default() -> Self {
        Self::Head { line: [0; LINE], known: 0, end: 0 }
    }
}

impl ResponseProgress {
    /// Parses bytes up to the end of the current frame or of the data; returns their number.
    pub fn follow_one(&mut self, octets: &[u8]) -> usize {
        match self {
            Self::Open(frames) => frames.follow_one(octets),
            Self::Other => octets.len(),
            Self::Head { .. } => {
                let end = octets.iter().position(|octet| self.take_head(*octet));
                end.map_or(octets.len(), |end| end + 1)
            }
        }
    }

    /// Parses all bytes.
    pub fn follow(&mut self, octets: &[u8]) {
        let mut rest = octets;
        while !rest.is_empty() {
            let taken = self.follow_one(rest);
            rest = rest.get(taken..).unwrap_or_default();
        }
    }

    /// The frames, once the WebSocket is open.
    pub const fn frames(&self) -> Option<&Frames> {
        match self {
            Self::Open(frames) => Some(frames),
            Self::Head { .. } | Self::Other => None,
        }
    }

    /// Consumes a byte of a head; returns whether the head is complete.
    fn take_head(&mut self, octet: u8) -> bool {
        let Self::Head { line, known, end } = self else { return false };
        if let Some(place) = line.get_mut(*known) {
            *place = octet;
            *known += 1;
        }
        *end = match END.get(*end) {
            Some(expected) if *expected == octet => *end + 1,
            Some(_) | None => usize::from(octet == b'\r'),
        };
        if *end < END.len() {
            return false;
        }
        *self = match line.last_chunk::<3>() {
            Some(b"101") => Self::Open(Frames::default()),
            Some([b'1', ..]) => Self::default(),
            Some(_) | None => Self::Other,
        };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SWITCH: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n";

    fn follow(octets: &[u8]) -> ResponseProgress {
        let mut answer = ResponseProgress::default();
        answer.follow(octets);
        answer
    }

    #[test]
    fn frames_begin_behind_a_101_and_nothing_else() {
        assert!(follow(SWITCH).frames().is_some_and(Frames::takes_close));
        assert!(follow(&SWITCH[..SWITCH.len() - 1]).frames().is_none());
        let refused = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nHTTP/1.1 101 S\r\n\r\n";
        assert!(matches!(follow(refused), ResponseProgress::Other));
        let early = [&b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"[..], SWITCH].concat();
        assert!(follow(&early).frames().is_some());
        assert!(matches!(follow(b"\r\n\r\n"), ResponseProgress::Other));
    }

    #[test]
    fn octets_behind_the_head_are_frames_however_they_are_cut() {
        let whole = [SWITCH, &[0x82, 3, 1, 2, 3, 0x82, 1]].concat();
        for cut in 0..whole.len() {
            let mut answer = follow(&whole[..cut]);
            answer.follow(&whole[cut..]);
            assert!(answer.frames().is_some_and(|frames| !frames.takes_close()), "cut at {cut}");
            answer.follow(&[7]);
            assert!(answer.frames().is_some_and(Frames::takes_close), "cut at {cut}");
        }
    }
}
