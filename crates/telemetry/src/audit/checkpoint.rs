//! Seals (checkpoints) of the audit files. A seal ends a batch of lines and includes the previous seal, so that
//! the newest one covers every line of the chain (`docs/decisions/0010-audit-lines-are-sealed-in-batches.md`).

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

/// A seal: its number in the chain and its SHA-256. Written as `NUMBER:HASH`, the hash in base64url without
/// padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditCheckpoint {
    number: u64,
    hash: [u8; 32],
}

impl AuditCheckpoint {
    /// The predecessor of the first seal.
    pub(super) const NONE: Self = Self { number: 0, hash: [0; 32] };

    /// Parses `NUMBER:HASH`.
    pub fn parse(text: &str) -> Option<Self> {
        let (number, hash) = text.split_once(':')?;
        Self::new(number.parse().ok()?, hash)
    }

    /// The number, from 1, increasing by one.
    pub const fn number(self) -> u64 {
        self.number
    }

    fn new(number: u64, hash: &str) -> Option<Self> {
        let hash = URL_SAFE_NO_PAD.decode(hash).ok()?;
        Some(Self { number, hash: hash.try_into().ok()? })
    }

    /// The hash in base64url.
    pub(super) fn hash(self) -> String {
        URL_SAFE_NO_PAD.encode(self.hash)
    }
}

impl fmt::Display for AuditCheckpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.number, self.hash())
    }
}

/// Lines that are not sealed yet.
#[derive(Clone)]
pub(super) struct PendingLines {
    number: u64,
    lines: u64,
    context: Context,
}

impl PendingLines {
    /// No lines, after this seal.
    pub(super) fn after(seal: AuditCheckpoint) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(&seal.hash);
        Self { number: seal.number.saturating_add(1), lines: 0, context }
    }

    /// Adds lines, or parts of lines.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.context.update(bytes);
        let ends = bytes.iter().filter(|byte| **byte == b'\n').count();
        self.lines = self.lines.saturating_add(u64::try_from(ends).unwrap_or(u64::MAX));
    }

    /// Creates the seal and its line. The hash covers the previous hash, the lines, and the seal's own line up to the
    /// hash.
    pub(super) fn close(mut self, time: &str) -> (AuditCheckpoint, String) {
        let Self { number, lines, .. } = self;
        let mut line = format!(
            r#"{{"channel":"audit","time":"{time}","event":"audit.seal","number":{number},"lines":{lines}"#
        );
        self.context.update(line.as_bytes());
        let mut hash = [0; 32];
        hash.copy_from_slice(self.context.finish().as_ref());
        let seal = AuditCheckpoint { number, hash };
        line.push_str(&format!(",\"hash\":\"{}\"}}\n", seal.hash()));
        (seal, line)
    }
}

/// The role of a line in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ChainLink {
    /// It is a seal.
    Seal {
        /// The seal as written, not verified.
        seal: AuditCheckpoint,
        /// When it was written.
        time: String,
    },
    /// The first line of a file.
    Continued {
        /// The last seal of the previous file; [`AuditCheckpoint::NONE`] at the beginning of the chain.
        seal: AuditCheckpoint,
        /// The name of the previous file.
        after: Option<String>,
    },
    /// Another line.
    None,
}

/// The first line of a file.
pub(super) fn continued(seal: AuditCheckpoint, after: Option<&str>, time: &str) -> String {
    let (number, hash) = (seal.number, seal.hash());
    let after = after.map(|after| format!(r#","after":"{after}""#)).unwrap_or_default();
    format!(
        "{{\"channel\":\"audit\",\"time\":\"{time}\",\"event\":\"audit.continued\",\"number\":{number},\"hash\":\"{hash}\"{after}}}\n"
    )
}

#[derive(Deserialize)]
struct ChainMembers {
    event: String,
    time: String,
    number: u64,
    hash: String,
    after: Option<String>,
}

/// Parses a line. Lines with client data cannot be mistaken for a link, because it is never the name of a member.
pub(super) fn link(line: &[u8]) -> ChainLink {
    read(line).unwrap_or(ChainLink::None)
}

fn read(line: &[u8]) -> Option<ChainLink> {
    let line = line.strip_prefix(br#"{"channel":"audit","time":""#)?;
    let time = line.iter().position(|byte| *byte == b'"')?;
    let rest = line.get(time..)?.strip_prefix(br#"","event":"audit."#)?;
    if !rest.starts_with(b"seal\"") && !rest.starts_with(b"continued\"") {
        return None;
    }
    let whole = [br#"{"time":""#.as_slice(), line].concat();
    let ChainMembers { event, time, number, hash, after } = serde_json::from_slice(&whole).ok()?;
    let seal = AuditCheckpoint::new(number, &hash)?;
    Some(match event.as_str() {
        "audit.seal" => ChainLink::Seal { seal, time },
        _ => ChainLink::Continued { seal, after },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: &str = "2026-11-21T10:00:00Z";

    fn sealed(before: AuditCheckpoint, lines: &str) -> (AuditCheckpoint, String) {
        let mut unsealed = PendingLines::after(before);
        unsealed.add(lines.as_bytes());
        unsealed.close(TIME)
    }

    #[test]
    fn a_seal_covers_the_one_before_the_lines_and_its_own_head() {
        let (seal, line) = sealed(AuditCheckpoint::NONE, "a\nb\n");
        insta::assert_snapshot!(line.trim_end(), @r#"{"channel":"audit","time":"2026-11-21T10:00:00Z","event":"audit.seal","number":1,"lines":2,"hash":"F3NN7vvi80TQRihWXahL3iA_jGvgzp-rYgr1qPPE7s4"}"#);
        let head = line.split(",\"hash\"").next().unwrap();
        let covered = [[0; 32].as_slice(), b"a\nb\n", head.as_bytes()].concat();
        let hash = aws_lc_rs::digest::digest(&SHA256, &covered);
        assert_eq!(seal.hash(), URL_SAFE_NO_PAD.encode(hash));
        assert_eq!(link(line.as_bytes()), ChainLink::Seal { seal, time: TIME.into() });
        assert_ne!(sealed(seal, "a\nb\n").0.hash, seal.hash);
        assert_ne!(sealed(AuditCheckpoint::NONE, "a\nb \n").0, seal);
    }

    #[test]
    fn parts_of_lines_make_the_same_seal_as_the_whole() {
        let mut unsealed = PendingLines::after(AuditCheckpoint::NONE);
        for part in ["a", "\nb", "\n"] {
            unsealed.add(part.as_bytes());
        }
        assert_eq!(unsealed.close(TIME), sealed(AuditCheckpoint::NONE, "a\nb\n"));
    }

    #[test]
    fn a_file_says_what_it_continues() {
        let (seal, _) = sealed(AuditCheckpoint::NONE, "a\n");
        for after in [None, Some("audit-2026-11-20.jsonl")] {
            let line = continued(seal, after, TIME);
            let after = after.map(str::to_owned);
            assert_eq!(link(line.as_bytes()), ChainLink::Continued { seal, after });
        }
    }

    #[test]
    fn a_seal_is_written_as_number_and_hash() {
        let (seal, _) = sealed(AuditCheckpoint::NONE, "a\n");
        assert_eq!(AuditCheckpoint::parse(&seal.to_string()), Some(seal));
        for bad in ["", "1", "1:", ":x", "1:AAAA", "x:AAAA", "-1:AAAA"] {
            assert_eq!(AuditCheckpoint::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn other_lines_are_no_links() {
        for line in [
            "",
            "x",
            r#"{"channel":"audit","time":"t","event":"request","path":"\",\"event\":\"audit.seal\""}"#,
            r#"{"channel":"audit","time":"t","event":"audit.resumed"}"#,
            r#"{"channel":"audit","time":"t","event":"audit.seal","number":1}"#,
            r#"{"channel":"audit","time":"t","event":"audit.seal","number":-1,"lines":1,"hash":"x"}"#,
        ] {
            assert_eq!(link(line.as_bytes()), ChainLink::None, "{line}");
        }
    }
}
