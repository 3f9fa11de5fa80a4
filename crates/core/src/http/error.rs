//! Why a message is malformed.

use crate::Code;

/// Why a message is malformed. The connection is closed in every case, because the start of the next
/// message is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum HeadError {
    /// The head does not end with an empty line, or something follows it.
    #[error("the request head is incomplete")]
    Incomplete,
    /// More than one empty line before the request line (RFC 9112 section 2.2).
    #[error("there are empty lines before the request line")]
    EmptyLines,
    /// A line feed without a carriage return.
    #[error("a line ends without a carriage return")]
    BareLineFeed,
    /// A carriage return without a line feed.
    #[error("a line has a bare carriage return")]
    BareCarriageReturn,
    /// NUL or another control character.
    #[error("there is a control character")]
    Control,
    /// Not `method SP target SP version`.
    #[error("the request line is malformed")]
    RequestLine,
    /// The method is not 1 to 32 bytes of upper-case letters, digits, `-` and `_`.
    #[error("the method is malformed")]
    Method,
    /// CONNECT, TRACE, TRACK or PRI.
    #[error("the method is not forwarded")]
    MethodNotForwarded,
    /// Neither origin-form nor absolute-form of http or https, or a byte that is not valid in a target.
    #[error("the request target is malformed")]
    Target,
    /// Longer than the limit.
    #[error("the request target is too long")]
    TargetTooLong,
    /// Neither HTTP/1.0 nor HTTP/1.1.
    #[error("the HTTP version is not supported")]
    Version,
    /// Empty, with a byte that is not a `tchar`, or with white space before the colon.
    #[error("a field name is malformed")]
    FieldName,
    /// A line that starts with white space (RFC 9112 section 5.2).
    #[error("a field line is folded")]
    Folding,
    /// More fields than the limit.
    #[error("there are too many header fields")]
    TooManyFields,
    /// A larger head than the limit.
    #[error("the header fields are too large")]
    TooLarge,
    /// Repeated, empty, signed, listed, with leading zeros, or beyond 64 bits.
    #[error("Content-Length is malformed")]
    ContentLength,
    /// Anything but exactly one field with the value `chunked`, on HTTP/1.1.
    #[error("Transfer-Encoding is malformed")]
    TransferEncoding,
    /// Content-Length and Transfer-Encoding (RFC 9112 section 6.1).
    #[error("Content-Length and Transfer-Encoding conflict")]
    TwoFramings,
    /// A chunked body that does not conform to RFC 9112 section 7.1, or has too many extensions or trailers.
    #[error("the chunked body is malformed")]
    Chunks,
    /// Missing, repeated or malformed.
    #[error("Host is missing, repeated or malformed")]
    Host,
    /// `Connection` has more than 9 options, one that is not a token, or one that names an end-to-end field
    /// (RFC 9110 section 7.6.1).
    #[error("Connection is malformed")]
    Connection,
    /// `Expect` is not `100-continue`.
    #[error("the expectation cannot be met")]
    Expectation,
    /// A WebSocket handshake with a body, which cannot be distinguished from the first frames.
    #[error("an upgrade request has a body")]
    UpgradeWithBody,
    /// A field that is not allowed in HTTP/2 (RFC 9113 section 8.2.2).
    #[error("HTTP/2 request with a connection-specific field")]
    ConnectionSpecific,
}

impl HeadError {
    /// The problem code.
    pub const fn code(self) -> Code {
        match self {
            Self::TargetTooLong => Code::TargetTooLong,
            Self::Expectation => Code::ExpectationFailed,
            Self::TooManyFields | Self::TooLarge => Code::HeadersTooLarge,
            Self::MethodNotForwarded => Code::NotImplemented,
            Self::Version => Code::VersionNotSupported,
            Self::Incomplete
            | Self::EmptyLines
            | Self::BareLineFeed
            | Self::BareCarriageReturn
            | Self::Control
            | Self::RequestLine
            | Self::Method
            | Self::Target
            | Self::FieldName
            | Self::Folding
            | Self::ContentLength
            | Self::TransferEncoding
            | Self::TwoFramings
            | Self::Chunks
            | Self::Host
            | Self::Connection
            | Self::UpgradeWithBody
            | Self::ConnectionSpecific => Code::BadRequest,
        }
    }
}
