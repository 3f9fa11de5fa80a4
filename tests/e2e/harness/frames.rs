//! HTTP/2 by hand: frames that no library would send, and what the gateway says to them.

use std::net::SocketAddr;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::raw::{Duplex, Tls};
use super::wait::within;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// One frame (RFC 9113 section 4.1).
#[derive(Clone, Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// How the gateway took a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An answer with this status.
    Status(u16),
    /// RST_STREAM with this error code.
    Reset(u32),
    /// GOAWAY with this error code.
    GoAway(u32),
    /// The connection closed.
    Closed,
}

impl Outcome {
    /// No answer with content: a refusal of the stream or of the whole connection.
    pub fn is_refusal(self) -> bool {
        match self {
            Self::Status(status) => (400..500).contains(&status),
            Self::Reset(_) | Self::GoAway(_) | Self::Closed => true,
        }
    }
}

/// One HTTP/2 connection without a library.
pub struct Frames {
    stream: Box<dyn Duplex>,
    input: BytesMut,
}

impl Frames {
    /// Connects and sends preface and settings.
    pub async fn connect(address: SocketAddr, tls: &Tls) -> Self {
        let stream = tls.clone().alpn(&["h2"]).connect(address).await.unwrap();
        let mut frames = Self { stream: Box::new(stream), input: BytesMut::new() };
        frames.raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        frames.send(SETTINGS, 0, 0, &[]).await.unwrap();
        frames
    }

    pub async fn raw(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        within("sending frames", async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        })
        .await
    }

    pub async fn send(
        &mut self,
        kind: u8,
        flags: u8,
        stream: u32,
        payload: &[u8],
    ) -> std::io::Result<()> {
        self.raw(&frame(kind, flags, stream, payload)).await
    }

    /// Sends bytes so many times and reads beside it, unless the other side closes the connection before; how
    /// many it took.
    pub async fn flood(&mut self, bytes: &[u8], times: usize) -> usize {
        let Self { stream, input } = self;
        let (mut reading, mut writing) = tokio::io::split(stream);
        let closed = async { while matches!(reading.read_buf(input).await, Ok(1..)) {} };
        tokio::pin!(closed);
        for taken in 0..times {
            let sending = async {
                writing.write_all(bytes).await?;
                writing.flush().await
            };
            let sent = within("a flood to be taken or refused", async {
                tokio::select! {
                    sent = sending => sent.is_ok(),
                    () = &mut closed => false,
                }
            });
            if !sent.await {
                return taken;
            }
        }
        times
    }

    /// A request of these fields, pseudo-header fields included, in this order.
    pub async fn request(&mut self, stream: u32, fields: &[(&str, &str)], end: bool) {
        let flags = END_HEADERS | if end { END_STREAM } else { 0 };
        drop(self.send(HEADERS, flags, stream, &encode(fields)).await);
    }

    /// The next frame; `None` where the connection closes. Settings and pings are answered.
    pub async fn next(&mut self) -> Option<Frame> {
        within("a frame", self.read()).await
    }

    async fn read(&mut self) -> Option<Frame> {
        while self.input.len() < 9 {
            self.fill().await?;
        }
        let length = usize::from(self.input[0]) << 16
            | usize::from(self.input[1]) << 8
            | usize::from(self.input[2]);
        while self.input.len() < 9 + length {
            self.fill().await?;
        }
        let head = self.input.split_to(9);
        let mut stream = &head[5..9];
        let frame = Frame {
            kind: head[3],
            flags: head[4],
            stream: stream.get_u32() & 0x7fff_ffff,
            payload: self.input.split_to(length).to_vec(),
        };
        if frame.kind == SETTINGS && frame.flags & ACK == 0 {
            let _ = self.send_now(SETTINGS, ACK, 0, &[]).await;
        }
        Some(frame)
    }

    async fn send_now(&mut self, kind: u8, flags: u8, on: u32, payload: &[u8]) -> Option<()> {
        self.stream.write_all(&frame(kind, flags, on, payload)).await.ok()?;
        self.stream.flush().await.ok()
    }

    async fn fill(&mut self) -> Option<()> {
        match self.stream.read_buf(&mut self.input).await {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(()),
        }
    }

    /// What becomes of a stream.
    pub async fn outcome(&mut self, stream: u32) -> Outcome {
        while let Some(frame) = self.next().await {
            match frame.kind {
                HEADERS if frame.stream == stream => {
                    return Outcome::Status(status(&frame.payload));
                }
                RST_STREAM if frame.stream == stream => {
                    return Outcome::Reset((&frame.payload[..]).get_u32());
                }
                GOAWAY => {
                    let code = (&frame.payload[4..8]).get_u32();
                    if code != 0 {
                        return Outcome::GoAway(code);
                    }
                }
                _ => {}
            }
        }
        Outcome::Closed
    }

    /// Reads until GOAWAY or the end of the connection.
    pub async fn ended(&mut self) -> Outcome {
        while let Some(frame) = self.next().await {
            if frame.kind == GOAWAY {
                return Outcome::GoAway((&frame.payload[4..8]).get_u32());
            }
        }
        Outcome::Closed
    }
}

/// A frame's bytes.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// A header block without compression: literal fields without indexing (RFC 7541 section 6.2.2).
pub fn encode(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            length(&mut block, text.len());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// An integer with a prefix of seven bits (RFC 7541 section 5.1).
fn length(block: &mut Vec<u8>, length: usize) {
    if length < 127 {
        block.push(u8::try_from(length).unwrap());
        return;
    }
    block.push(127);
    let mut rest = length - 127;
    while rest >= 128 {
        block.push(u8::try_from(rest % 128 + 128).unwrap());
        rest /= 128;
    }
    block.push(u8::try_from(rest).unwrap());
}

/// `:status`, the first field of a response's header block on a fresh connection.
fn status(block: &[u8]) -> u16 {
    const STATIC: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    let mut block = block;
    while block[0] & 0xe0 == 0x20 {
        block = &block[1..];
    }
    if block[0] & 0x80 != 0 {
        return STATIC[usize::from(block[0] & 0x7f) - 8];
    }
    let value = &block[2..2 + usize::from(block[1] & 0x7f)];
    if block[1] & 0x80 == 0 {
        return String::from_utf8_lossy(value).parse().unwrap();
    }
    huffman_digits(value)
}

/// Three decimal digits in the code of RFC 7541 appendix B.
fn huffman_digits(value: &[u8]) -> u16 {
    let bits = value.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
    let mut left = value.len() * 8;
    let mut number = 0;
    for _ in 0..3 {
        let five = u16::try_from(bits >> (left - 5) & 31).unwrap();
        if five < 3 {
            number = number * 10 + five;
            left -= 5;
        } else {
            let six = u16::try_from(bits >> (left - 6) & 63).unwrap();
            number = number * 10 + (six - 0b01_1001) + 3;
            left -= 6;
        }
    }
    number
}

#[test]
fn a_status_is_read_in_each_of_its_encodings() {
    assert_eq!(status(&[0x88]), 200);
    assert_eq!(status(&[0x20, 0x8d]), 404);
    assert_eq!(status(&[0x48, 3, b'4', b'0', b'1']), 401);
    // 401 = 011010 00000 00001, then padding.
    assert_eq!(status(&[0x48, 0x82, 0b0110_1000, 0b0000_0001]), 401);
}
