//! Why the gateway closes a WebSocket, and the close frames that it sends (RFC 6455 sections 5.5.1, 7.4).

/// The first byte of an unfragmented close frame.
const CLOSE: u8 = 0x88;
/// The mask bit: a masking key follows.
const MASK: u8 = 0x80;

/// Why the gateway closes a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Its session was revoked, or its user disabled.
    Revoked,
    /// Its session or its token expired.
    Expired,
    /// It was idle for `limits.websocket_idle_timeout`.
    Idle,
    /// The gateway stops.
    Draining,
}

impl Ending {
    /// The reason in logs and metric labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::Idle => "idle",
            Self::Draining => "draining",
        }
    }

    /// The status code: 4401, for private use (RFC 6455 section 7.4.2), if the session ended; 1001, "going away" (section
    /// 7.4.1), if it was idle or the gateway stops.
    pub const fn code(self) -> u16 {
        match self {
            Self::Revoked | Self::Expired => 4401,
            Self::Idle | Self::Draining => 1001,
        }
    }

    /// The reason sent with the code; ASCII, at most 123 bytes.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Revoked | Self::Expired => "session ended",
            Self::Idle => "idle timeout",
            Self::Draining => "going away",
        }
    }

    /// The close frame for the client.
    pub fn for_caller(self) -> Vec<u8> {
        self.frame(None)
    }

    /// The close frame for the upstream, masked as required of a client (RFC 6455 section 5.3).
    pub fn for_upstream(self, key: [u8; 4]) -> Vec<u8> {
        self.frame(Some(key))
    }

    fn frame(self, key: Option<[u8; 4]>) -> Vec<u8> {
        let payload = self.code().to_be_bytes().into_iter().chain(self.text().bytes());
        let length = u8::try_from(2 + self.text().len()).unwrap_or(0);
        match key {
            None => [CLOSE, length].into_iter().chain(payload).collect(),
            Some(key) => {
                let masked = payload.zip(key.into_iter().cycle()).map(|(octet, key)| octet ^ key);
                [CLOSE, MASK | length].into_iter().chain(key).chain(masked).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Frames;
    use super::*;

    #[test]
    fn a_close_frame_has_code_and_reason_and_is_masked_for_the_upstream() {
        assert_eq!(Ending::Revoked.for_caller(), b"\x88\x0f\x11\x31session ended");
        assert_eq!(&Ending::Idle.for_caller()[..4], b"\x88\x0e\x03\xe9");
        let masked = Ending::Expired.for_upstream([1, 2, 3, 4]);
        assert_eq!(&masked[..6], b"\x88\x8f\x01\x02\x03\x04");
        let key = [1, 2, 3, 4].into_iter().cycle();
        let payload: Vec<u8> =
            masked[6..].iter().zip(key).map(|(octet, key)| octet ^ key).collect();
        assert_eq!(payload, b"\x11\x31session ended");
        for frame in [Ending::Revoked.for_caller(), masked] {
            let mut frames = Frames::default();
            assert_eq!(frames.follow_one(&frame), frame.len());
            assert!(frames.is_closed());
        }
    }
}
