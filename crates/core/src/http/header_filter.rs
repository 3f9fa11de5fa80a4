//! Header names that are stripped from requests, compared in folded form.
//!
//! Names are folded to lower case with `-` for every separator, because upstreams behind CGI, WSGI
//! or a servlet container treat `X_Auth_Uid`, and some `x.auth.uid`, as `x-auth-uid`.
//!
//! Options of `Connection` name fields to remove (RFC 9110 section 7.6.1). They cannot remove anything
//! that matters: credentials are read from the request as received; headers that Guarita sets are always
//! stripped and written last; `Host`, framing and other end-to-end fields are rejected as options by
//! [`super::head::inspect`] and never stripped here; and the client's `Connection` itself is not
//! forwarded, so that it cannot make the next hop drop what Guarita wrote.

use std::collections::HashMap;

use http::{HeaderMap, HeaderName, header};

use super::bytes;
use super::header_names::{FORWARDING, HOP_BY_HOP, IDENTITY, RESERVED, STANDARD};

/// Longest name that is compared, in bytes; no stripped name is longer.
const MAX_NAME: usize = 64;

/// The names of the identity headers sent to upstreams (`[identity_headers]`).
#[derive(Clone, Debug)]
pub struct IdentityHeaders {
    /// The subject; default `sub`.
    pub subject: HeaderName,
    /// Roles joined by commas; default `app_roles`.
    pub roles: HeaderName,
    /// The numeric id of the local user row; default `x-auth-uid`.
    pub user: HeaderName,
    /// The session id; default `x-auth-sid`.
    pub session: HeaderName,
    /// The source of the credential; default `x-auth-source`.
    pub source: HeaderName,
    /// The signed assertion; default `x-auth-assertion`.
    pub assertion: HeaderName,
    /// Prefix of the subject's value; default none.
    pub subject_prefix: &'static str,
}

impl Default for IdentityHeaders {
    fn default() -> Self {
        Self {
            subject: HeaderName::from_static("sub"),
            roles: HeaderName::from_static("app_roles"),
            user: HeaderName::from_static("x-auth-uid"),
            session: HeaderName::from_static("x-auth-sid"),
            source: HeaderName::from_static("x-auth-source"),
            assertion: HeaderName::from_static("x-auth-assertion"),
            subject_prefix: "",
        }
    }
}

/// An invalid set of identity headers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIdentityHeaders {
    /// Two names that are the same name to some upstreams.
    #[error("the identity headers {0} and {1} are the same name to some upstreams")]
    Same(HeaderName, HeaderName),
    /// A name with another meaning.
    #[error("{0} cannot be an identity header")]
    Reserved(HeaderName),
    /// A name longer than 64 bytes.
    #[error("the identity header {0} is longer than 64 bytes")]
    TooLong(HeaderName),
}

impl IdentityHeaders {
    /// The names.
    pub const fn names(&self) -> [&HeaderName; 6] {
        [&self.subject, &self.roles, &self.user, &self.session, &self.source, &self.assertion]
    }

    /// Checks that the folded names differ and that none has another meaning.
    pub fn check(&self) -> Result<(), InvalidIdentityHeaders> {
        let names = self.names();
        for (position, name) in names.iter().enumerate() {
            if name.as_str().len() > MAX_NAME {
                return Err(InvalidIdentityHeaders::TooLong((*name).clone()));
            }
            if RESERVED.iter().any(|reserved| folds_to(name.as_str(), reserved)) {
                return Err(InvalidIdentityHeaders::Reserved((*name).clone()));
            }
            let same = |other: &&&HeaderName| folds_to(other.as_str(), &fold_name(name.as_str()));
            if let Some(other) = names.iter().skip(position + 1).find(same) {
                return Err(InvalidIdentityHeaders::Same((*name).clone(), (*other).clone()));
            }
        }
        Ok(())
    }
}

/// Fields that are not stripped although they are in one of the lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PreservedHeaders {
    /// `Upgrade`, on a WebSocket handshake. `Connection` is stripped nevertheless: the proxy writes its
    /// own `Connection: upgrade`.
    pub upgrade: bool,
    /// `Forwarded`, `X-Forwarded-*` and the like in their exact spelling, because the peer is a trusted
    /// proxy. The proxy overwrites those that [`super::forwarded`] sets.
    pub forwarding: bool,
}

/// The folded names to strip; a single lookup decides.
#[derive(Clone, Debug)]
pub struct StrippedHeaders(Names);

impl StrippedHeaders {
    /// Builds the sets, at reload: the given names (a trailing `*` matches any suffix) and those
    /// that are always stripped.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut built = Names::new();
        for name in names {
            built.insert(name, IN_IDENTITY);
        }
        for (names, family) in [
            (IDENTITY, IN_IDENTITY),
            (HOP_BY_HOP, IN_HOP_BY_HOP),
            (FORWARDING, IN_FORWARDING),
            (STANDARD, IN_STANDARD),
        ] {
            for name in names {
                built.insert(name, family);
            }
        }
        Self(built)
    }

    /// The filter for one request. It strips listed fields, hop-by-hop fields and those named in
    /// `Connection`, except for those in `kept`.
    pub fn sieve<'a>(&'a self, headers: &'a HeaderMap, kept: PreservedHeaders) -> HeaderFilter<'a> {
        let has_options = options(headers).any(names_a_field);
        HeaderFilter { families: self, headers, kept, has_options }
    }

    fn strips(&self, name: &str, kept: PreservedHeaders) -> bool {
        let families = self.0.find(name);
        families & (IN_IDENTITY | IN_HOP_BY_HOP) != 0
            || (families & IN_FORWARDING != 0 && !(kept.forwarding && is_folded(name)))
            || (families & IN_STANDARD != 0 && !is_folded(name))
    }
}

/// Decides which fields of one request are stripped.
#[derive(Clone, Copy, Debug)]
pub struct HeaderFilter<'a> {
    families: &'a StrippedHeaders,
    headers: &'a HeaderMap,
    kept: PreservedHeaders,
    /// Whether `Connection` names a field.
    has_options: bool,
}

impl HeaderFilter<'_> {
    /// Whether the fields of this name are stripped.
    pub fn strips(&self, name: &HeaderName) -> bool {
        self.families.strips(name.as_str(), self.kept)
            || (*name == header::UPGRADE && !self.kept.upgrade)
            || (*name == header::TE && !wants_trailers(self.headers))
            || (self.has_options
                && is_option(self.headers, name)
                && !is_for_everyone(name, self.kept))
    }
}

/// gRPC needs `te: trailers`; no other value of `TE` is forwarded.
fn wants_trailers(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(header::TE).iter();
    values.next().is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"trailers"))
        && values.next().is_none()
}

fn options(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let fields = headers.get_all(header::CONNECTION).iter();
    fields.flat_map(|field| field.as_bytes().split(|octet| *octet == b',')).map(bytes::trim)
}

/// Whether an option names a field; the usual options (`close`, `keep-alive`) do not.
fn names_a_field(option: &[u8]) -> bool {
    !option.eq_ignore_ascii_case(b"keep-alive") && !option.eq_ignore_ascii_case(b"close")
}

fn is_option(headers: &HeaderMap, name: &HeaderName) -> bool {
    options(headers).any(|option| option.eq_ignore_ascii_case(name.as_str().as_bytes()))
}

/// Fields that an option of `Connection` cannot remove: routing and framing.
fn is_for_everyone(name: &HeaderName, kept: PreservedHeaders) -> bool {
    [header::HOST, header::CONTENT_LENGTH, header::TRANSFER_ENCODING].contains(name)
        || (*name == header::UPGRADE && kept.upgrade)
        || (*name == header::TE)
}

const IN_IDENTITY: u8 = 1;
const IN_HOP_BY_HOP: u8 = 2;
const IN_FORWARDING: u8 = 4;
const IN_STANDARD: u8 = 8;

/// Folded names and prefixes, each with a bit for every list that it is in. A bit set per length and prefix
/// excludes most names before anything is folded or hashed.
#[derive(Clone, Debug)]
struct Names {
    exact: HashMap<Box<[u8]>, u8>,
    exact_marks: [u64; MAX_NAME + 1],
    prefixes: Vec<Prefix>,
    prefix_marks: u64,
}

#[derive(Clone, Debug)]
struct Prefix {
    folded: Box<[u8]>,
    /// The bits that a name with this prefix can have.
    marks: u64,
    family: u8,
}

impl Names {
    fn new() -> Self {
        Self {
            exact: HashMap::new(),
            exact_marks: [0; MAX_NAME + 1],
            prefixes: Vec::new(),
            prefix_marks: 0,
        }
    }

    fn insert(&mut self, name: &str, family: u8) {
        let folded = fold_name(name.strip_suffix('*').unwrap_or(name)).into_bytes();
        // A longer name than any that is compared is cut, and so is what it is compared with.
        let folded = folded.get(..MAX_NAME).unwrap_or(&folded);
        if name.ends_with('*') {
            let marks = if folded.len() < 3 { u64::MAX } else { mark(folded) };
            self.prefix_marks |= marks;
            self.prefixes.push(Prefix { folded: folded.into(), marks, family });
            return;
        }
        if let Some(marks) = self.exact_marks.get_mut(folded.len()) {
            *marks |= mark(folded);
        }
        *self.exact.entry(folded.into()).or_default() |= family;
    }

    /// The lists that the name is in.
    fn find(&self, name: &str) -> u8 {
        let name = name.as_bytes();
        let name = name.get(..MAX_NAME).unwrap_or(name);
        let mark = mark(name);
        let marks = self.exact_marks.get(name.len()).copied().unwrap_or_default();
        let exact = if marks & mark == 0 { 0 } else { self.find_exact(name) };
        exact | if self.prefix_marks & mark == 0 { 0 } else { self.find_prefix(name, mark) }
    }

    fn find_exact(&self, name: &[u8]) -> u8 {
        let mut folded = [0_u8; MAX_NAME];
        for (place, octet) in folded.iter_mut().zip(name) {
            *place = fold(*octet);
        }
        folded.get(..name.len()).and_then(|folded| self.exact.get(folded)).copied().unwrap_or(0)
    }

    fn find_prefix(&self, name: &[u8], mark: u64) -> u8 {
        let begins = |prefix: &[u8]| {
            name.len() >= prefix.len()
                && prefix.iter().zip(name).all(|(one, other)| *one == fold(*other))
        };
        self.prefixes
            .iter()
            .filter(|prefix| prefix.marks & mark != 0 && begins(&prefix.folded))
            .fold(0, |families, prefix| families | prefix.family)
    }
}

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler, which would refuse a panic"
)]
const FOLDED: [u8; 256] = {
    let mut table = [b'-'; 256];
    let mut octet: u8 = 0;
    while octet < 128 {
        if octet.is_ascii_alphanumeric() {
            table[octet as usize] = octet.to_ascii_lowercase();
        }
        octet += 1;
    }
    table
};

fn fold(octet: u8) -> u8 {
    FOLDED.get(usize::from(octet)).copied().unwrap_or(b'-')
}

fn fold_name(name: &str) -> String {
    name.bytes().map(|octet| char::from(fold(octet))).collect()
}

fn folds_to(name: &str, folded: &str) -> bool {
    name.len() == folded.len()
        && name.bytes().zip(folded.bytes()).all(|(octet, other)| fold(octet) == other)
}

/// Whether the name equals its folded form: no separator but `-`.
fn is_folded(name: &str) -> bool {
    name.bytes().all(|octet| octet == fold(octet))
}

/// One bit of 64 for the first and the third byte; different names may share one.
fn mark(name: &[u8]) -> u64 {
    let octet = |position: usize| name.get(position).map_or(0, |octet| fold(*octet));
    1 << ((octet(0) ^ octet(2).rotate_left(3)) & 63)
}

#[cfg(test)]
mod tests;
