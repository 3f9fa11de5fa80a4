//! What a request says, read once and with one meaning.
//!
//! The way of an HTTP/1 request: [`head::inspect`] sees the raw head before any parser does;
//! [`CanonicalRequest`] then fixes host and path; [`Candidates`] are read from the fields as they
//! came; [`HeaderFamilies`] say what does not go on. An HTTP/2 request has [`head::inspect_fields`]
//! in place of the first step.
//!
//! To refuse one more thing: add a variant to [`Malformed`] (it breaks the message) or [`Ambiguity`]
//! (it has two meanings), the line that finds it, and a row in the tests.

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
