//! Why a request has no canonical form.

use super::error::HeadError;
use crate::Code;

/// Why a request is ambiguous.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum CanonicalizationError {
    /// The method is malformed or not forwarded.
    #[error(transparent)]
    Method(HeadError),
    /// Neither a path nor, on HTTP/1, an absolute URI of http or https; `*` is neither.
    #[error("the request target is neither a path nor an absolute URI")]
    Target,
    /// Longer than [`super::canonical::MAX_TARGET`].
    #[error("the request target is too long")]
    TargetTooLong,
    /// A control character or a space, raw or (control characters) encoded.
    #[error("the request target has a control character")]
    Control,
    /// A raw non-ASCII byte.
    #[error("the request target has a raw non-ASCII byte")]
    NotAscii,
    /// Encoded bytes that are not UTF-8, or not in its shortest form.
    #[error("the encoded bytes are not UTF-8")]
    NotUtf8,
    /// `#`
    #[error("the request target has a fragment")]
    Fragment,
    /// `\`, raw or encoded.
    #[error("the path has a backslash")]
    Backslash,
    /// `%2F`
    #[error("the path has an encoded slash")]
    EncodedSlash,
    /// A percent sign without two hexadecimal digits.
    #[error("a percent encoding is malformed")]
    MalformedPercent,
    /// `%25` and two hexadecimal digits: an upstream that decodes twice sees another path.
    #[error("a percent encoding is nested")]
    DoubleEncoding,
    /// `.` or `..`, raw or encoded.
    #[error("the path has a dot segment")]
    DotSegment,
    /// `//`
    #[error("the path has an empty segment")]
    EmptySegment,
    /// `;`, raw or encoded.
    #[error("the path has a path parameter")]
    PathParameter,
    /// A byte that is not valid in a query.
    #[error("the query is malformed")]
    Query,
    /// No `Host` and no `:authority`.
    #[error("there is no Host")]
    HostMissing,
    /// More than one `Host`.
    #[error("there is more than one Host")]
    HostRepeated,
    /// Not `host[:port]`.
    #[error("the host is malformed")]
    HostMalformed,
    /// `Host` differs from `:authority` or from the absolute URI's authority.
    #[error("Host and the request target differ")]
    HostDiffers,
}

impl CanonicalizationError {
    /// The problem code.
    pub const fn code(self) -> Code {
        match self {
            Self::Method(malformed) => malformed.code(),
            Self::TargetTooLong => Code::TargetTooLong,
            Self::Target
            | Self::Control
            | Self::NotAscii
            | Self::NotUtf8
            | Self::Fragment
            | Self::Backslash
            | Self::EncodedSlash
            | Self::MalformedPercent
            | Self::DoubleEncoding
            | Self::DotSegment
            | Self::EmptySegment
            | Self::PathParameter
            | Self::Query
            | Self::HostMissing
            | Self::HostRepeated
            | Self::HostMalformed
            | Self::HostDiffers => Code::BadRequest,
        }
    }
}
