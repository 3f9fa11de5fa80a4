//! Parsing of requests: everything is read once and strictly.
//!
//! The steps of an HTTP/1 request: [`head::inspect`] checks the raw head before any other parser sees it;
//! [`CanonicalRequest`] determines host and path; [`Credentials`] are read from the fields as received;
//! [`StrippedHeaders`] decide which fields are not forwarded. For an HTTP/2 request,
//! [`head::inspect_fields`] replaces the first step.
//!
//! To reject one more thing, add a variant to [`HeadError`] (the message is broken) or [`CanonicalizationError`] (it
//! has more than one meaning), the check for it, and a row in the tests.

mod authority;
mod header_names;
mod framing;
mod error;
mod method;
mod bytes;
mod path;

pub mod local_paths;
pub mod canonicalization_error;
pub mod canonical;
pub mod chunks;
pub mod cookies;
pub mod provider_cookies;
pub mod ws_ticket;
pub mod credentials;
pub mod forwarded;
pub mod head;
pub mod header_filter;
pub mod navigation;
pub mod origin;
pub mod request_id;
pub mod return_to;

pub(super) use authority::{Authority, Host};
pub use canonicalization_error::CanonicalizationError;
pub use chunks::Chunks;
pub use cookies::CookieValue;
pub use credentials::{Credential, Credentials};
pub use head::{Head, HeadError, HeadLimits};
pub use header_filter::{HeaderFilter, IdentityHeaders, PreservedHeaders, StrippedHeaders};
pub use navigation::is_navigation;
pub use origin::{AllowedOrigins, FetchMetadata};
pub(super) use path::canonical_path;
pub use provider_cookies::{FoundCookie, ProviderCookies};
pub use return_to::ReturnTo;
pub use ws_ticket::{PresentedTicket, TicketParam};
pub use {canonical::CanonicalRequest, canonical::RawRequest};
