//! What a request says, read once and with one meaning.

pub mod head;
pub mod canonical;
pub mod credentials;
pub mod headers;
pub mod forwarded;
pub mod request_id;

pub use canonical::{Ambiguity, Arrived, CanonicalRequest};
pub use credentials::{Candidates, Credential};
pub use headers::{HeaderFamilies, IdentityHeaders};
