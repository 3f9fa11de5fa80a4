//! Parsing of requests: everything is read once and strictly.
//!
//! The steps of an HTTP/1 request: [`head::inspect`] checks the raw head before any other parser sees it;
//! [`CanonicalRequest`] determines host and path; [`Candidates`] are read from the fields as received;
//! [`HeaderFamilies`] decide which fields are not forwarded. For an HTTP/2 request,
//! [`head::inspect_fields`] replaces the first step.
//!
//! To reject one more thing, add a variant to [`Malformed`] (the message is broken) or [`Ambiguity`] (it
//! has more than one meaning), the check for it, and a row in the tests.

mod authority;
mod families;
mod framing;
mod malformed;
mod method;
mod octet;
mod path;

pub mod canonical;
pub mod chunks;
pub mod cookies;
pub mod provider_cookies;
pub mod ticket;
pub mod credentials;
pub mod forwarded;
pub mod head;
pub mod headers;
pub mod navigation;
pub mod origin;
pub mod request_id;
pub mod return_to;

pub(super) use authority::{Authority, Host};
pub use canonical::{Ambiguity, Arrived, CanonicalRequest};
pub use chunks::Chunks;
pub use cookies::Brought;
pub use credentials::{Candidates, Credential};
pub use head::{Head, HeadLimits, Malformed};
pub use headers::{HeaderFamilies, IdentityHeaders, Kept, Sieve};
pub use navigation::is_navigation;
pub use origin::{OwnOrigins, Provenance};
pub(super) use path::canonical_path;
pub use provider_cookies::{FoundCookie, ProviderCookies};
pub use return_to::ReturnTo;
pub use ticket::{BroughtTicket, PresentedTicket};
