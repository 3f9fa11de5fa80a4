//! Frame boundaries of one direction of a WebSocket, from the frame headers alone (RFC 6455 section 5.2).

/// The low half of the first byte of a header.
const OPCODE: u8 = 0x0f;
/// The opcode of a close frame (RFC 6455 section 5.5.1).
const CLOSE: u8 = 0x8;
/// The mask bit of the second byte: a masking key of four bytes follows.
const MASK: u8 = 0x80;
/// Length of a masking key, in bytes.
const KEY_LENGTH: u64 = 4;

/// Parses the frames of one direction, without keeping payload.
#[derive(Clone, Copy, Debug, Default)]
pub struct Frames {
    place: FrameState,
    /// Whether the current or last frame is a close frame.
    is_close: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum FrameState {
    /// Between two frames.
    #[default]
    Boundary,
    /// After the first byte of a header.
    Length,
    /// Within a length of 16 or 64 bits.
    Longer { left: u8, length: u64, masked: bool },
    /// Within a masking key and payload, with so many bytes left.
    Rest(u64),
    /// The data was malformed: there are no further boundaries.
    Lost,
}

impl Frames {
    /// Parses bytes up to the end of the current frame or of the data; returns their number.
    pub fn follow_one(&mut self, octets: &[u8]) -> usize {
        let mut rest = octets;
        while let Some((octet, after)) = rest.split_first() {
            match self.place {
                FrameState::Lost => return octets.len(),
                FrameState::Rest(left) => {
                    let here = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    rest = rest.get(here..).unwrap_or_default();
                    self.place = rest_of(left.saturating_sub(u64::try_from(here).unwrap_or(left)));
                }
                FrameState::Boundary | FrameState::Length | FrameState::Longer { .. } => {
                    self.take_header(*octet);
                    rest = after;
                }
            }
            if self.place == FrameState::Boundary {
                break;
            }
        }
        octets.len() - rest.len()
    }

    /// Parses all bytes.
    pub fn follow(&mut self, octets: &[u8]) {
        let mut rest = octets;
        while !rest.is_empty() {
            let taken = self.follow_one(rest);
            rest = rest.get(taken..).unwrap_or_default();
        }
    }

    /// Whether a close frame can be inserted here: between two frames, but not after a close frame (RFC 6455
    /// section 5.5.1). Control frames are allowed between the fragments of a message (section 5.4).
    pub const fn takes_close(&self) -> bool {
        matches!(self.place, FrameState::Boundary) && !self.is_close
    }

    /// Whether a complete close frame has passed.
    pub const fn is_closed(&self) -> bool {
        matches!(self.place, FrameState::Boundary) && self.is_close
    }

    fn take_header(&mut self, octet: u8) {
        self.place = match self.place {
            FrameState::Boundary => {
                // Once closed, closed: what follows is not for anybody to read.
                self.is_close |= octet & OPCODE == CLOSE;
                FrameState::Length
            }
            FrameState::Length => {
                let masked = octet & MASK != 0;
                match octet & !MASK {
                    126 => FrameState::Longer { left: 2, length: 0, masked },
                    127 => FrameState::Longer { left: 8, length: 0, masked },
                    length => payload(u64::from(length), masked),
                }
            }
            FrameState::Longer { left, length, masked } => {
                let length = (length << 8) | u64::from(octet);
                match left {
                    1 => payload(length, masked),
                    _ => FrameState::Longer { left: left - 1, length, masked },
                }
            }
            place @ (FrameState::Rest(_) | FrameState::Lost) => place,
        };
    }
}

/// The highest bit of a length is zero (RFC 6455 section 5.2).
const fn payload(length: u64, masked: bool) -> FrameState {
    if length > u64::MAX >> 1 {
        return FrameState::Lost;
    }
    rest_of(if masked { length + KEY_LENGTH } else { length })
}

const fn rest_of(left: u64) -> FrameState {
    if left == 0 { FrameState::Boundary } else { FrameState::Rest(left) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A frame as RFC 6455 section 5.2 has it, with a payload of that many zeros.
    fn frame(opcode: u8, length: usize, masked: bool) -> Vec<u8> {
        let mask = if masked { MASK } else { 0 };
        let mut frame = vec![0x80 | opcode];
        match length {
            0..=125 => frame.push(mask | u8::try_from(length).unwrap()),
            126..=0xffff => {
                frame.push(mask | 126);
                frame.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                frame.push(mask | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend(if masked { &[1, 2, 3, 4][..] } else { &[] });
        frame.resize(frame.len() + length, 0x88);
        frame
    }

    #[test]
    fn a_frame_ends_where_its_length_says() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
            for masked in [false, true] {
                let mut octets = frame(2, length, masked);
                let end = octets.len();
                octets.extend(frame(1, 3, masked));
                let mut frames = Frames::default();
                assert_eq!(frames.follow_one(&octets), end, "{length} {masked}");
                assert!(frames.takes_close());
            }
        }
    }

    #[test]
    fn nothing_is_put_in_after_a_close_frame() {
        let mut frames = Frames::default();
        let close = frame(8, 2, false);
        frames.follow(&close[..3]);
        assert!(!frames.takes_close() && !frames.is_closed(), "it is not whole yet");
        frames.follow(&close[3..]);
        assert!(!frames.takes_close() && frames.is_closed());
        frames.follow(&frame(1, 1, false));
        assert!(!frames.takes_close());
    }

    #[test]
    fn an_impossible_length_has_no_end() {
        let mut frames = Frames::default();
        let octets = [0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0, 0x88, 0];
        assert_eq!(frames.follow_one(&octets), octets.len());
        frames.follow(&[0; 100]);
        assert!(!frames.takes_close());
        // The longest possible one is followed, not waited for in memory.
        let mut frames = Frames::default();
        frames.follow(&[0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3]);
        assert_eq!(frames.place, FrameState::Rest((1 << 63) - 1 + 4 - 3));
    }

    proptest! {
        /// However the octets are cut, a boundary is where a frame ends and nowhere else.
        #[test]
        fn the_boundaries_do_not_hang_on_the_cuts(
            lengths in prop::collection::vec((0..70_000_usize, any::<bool>(), 0..8_u8), 1..6),
            cuts in prop::collection::vec(1..9_000_usize, 1..40),
        ) {
            let mut octets = Vec::new();
            let mut ends = vec![0];
            for (length, masked, opcode) in lengths {
                octets.extend(frame(opcode, length, masked));
                ends.push(octets.len());
            }
            let mut frames = Frames::default();
            let (mut at, mut cut) = (0, cuts.iter().cycle());
            while at < octets.len() {
                let end = octets.len().min(at + cut.next().unwrap());
                frames.follow(&octets[at..end]);
                at = end;
                prop_assert_eq!(frames.takes_close(), ends.contains(&at));
            }
        }

        /// Whatever comes, following it takes every octet and never panics.
        #[test]
        fn anything_can_be_followed(octets in prop::collection::vec(any::<u8>(), 0..2_000)) {
            let mut frames = Frames::default();
            let mut at = 0;
            while at < octets.len() {
                let taken = frames.follow_one(&octets[at..]);
                prop_assert!(taken > 0);
                at += taken;
            }
        }
    }
}
