//! The route table: longest match, default deny.
//!
//! **Host first**: the routes of the exact host, then those of a wildcard, then those without
//! hosts. If no path of one of them matches, the next is tried.
//! **Then the path**: more literal segments win; at equal numbers the first difference decides,
//! where a literal takes precedence over `{name}`, and `{name}` over `{*rest}`.
//! **Then the method**: only the routes with the winning path are considered. If none of them allows the
//! method, the request is rejected; it never falls through to a less specific path with another policy.

use std::collections::HashMap;

use http::Method;

use super::trie::{Leaf, Trie};
use super::{HostPattern, PathPattern};

/// What a route matches.
#[derive(Clone, Debug)]
pub struct Matcher {
    /// Empty means every host.
    pub hosts: Vec<HostPattern>,
    /// The path.
    pub path: PathPattern,
    /// Empty means every method that is forwarded.
    pub methods: Vec<Method>,
}

/// The result of a lookup.
#[derive(Debug, PartialEq, Eq)]
pub enum Match<'a, T> {
    /// The route.
    Route(&'a T),
    /// The path matches, but not the method; with the value of `Allow`.
    OtherMethods(&'a http::HeaderValue),
    /// No route matches.
    Nothing,
}

/// Two routes of equal precedence, by their positions in the list given to `build`: the same host, equivalent
/// paths, and a method in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// The earlier route.
    pub first: usize,
    /// The later route.
    pub second: usize,
}

/// Routes by host, path and method. A lookup takes a few hashes, independently of the number of routes, and
/// does not allocate. The hashes are keyed, and only the operator adds entries, so clients cannot cause
/// collisions.
#[derive(Debug)]
pub struct RouteTable<T> {
    routes: Vec<T>,
    exact: HashMap<Box<str>, Trie>,
    wildcard: HashMap<Box<str>, Trie>,
    any: Trie,
}

impl<T> RouteTable<T> {
    /// Builds the table; overlapping routes of equal precedence are rejected.
    pub fn build(routes: Vec<(Matcher, T)>) -> Result<Self, Vec<Overlap>> {
        let mut table = Self {
            routes: Vec::with_capacity(routes.len()),
            exact: HashMap::new(),
            wildcard: HashMap::new(),
            any: Trie::default(),
        };
        let mut overlaps = Vec::new();
        for (position, (matcher, target)) in routes.into_iter().enumerate() {
            for first in table.insert(position, &matcher) {
                let overlap = Overlap { first, second: position };
                if !overlaps.contains(&overlap) {
                    overlaps.push(overlap);
                }
            }
            table.routes.push(target);
        }
        if overlaps.is_empty() { Ok(table) } else { Err(overlaps) }
    }

    /// The longest match. `host` and `path` are canonical.
    pub fn find(&self, host: &str, path: &str, method: &Method) -> Match<'_, T> {
        match self.find_leaf(host, path) {
            None => Match::Nothing,
            Some(leaf) => match leaf.find(method).and_then(|position| self.routes.get(position)) {
                Some(route) => Match::Route(route),
                None => Match::OtherMethods(leaf.allow()),
            },
        }
    }

    /// The same table with other targets.
    pub fn map<U>(self, target: impl FnMut(T) -> U) -> RouteTable<U> {
        let Self { routes, exact, wildcard, any } = self;
        RouteTable { routes: routes.into_iter().map(target).collect(), exact, wildcard, any }
    }

    /// Iterates over all routes.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.routes.iter()
    }

    fn find_leaf(&self, host: &str, path: &str) -> Option<&Leaf> {
        let exact = || self.exact.get(host)?.find(path);
        let wildcard = || {
            let (label, suffix) = host.split_once('.')?;
            if label.is_empty() { None } else { self.wildcard.get(suffix)?.find(path) }
        };
        exact().or_else(wildcard).or_else(|| self.any.find(path))
    }

    /// Inserts a route and returns the routes that it overlaps with.
    fn insert(&mut self, position: usize, matcher: &Matcher) -> Vec<usize> {
        let mut overlaps = Vec::new();
        let mut into = |trie: &mut Trie| {
            overlaps.extend(trie.insert(matcher.path.segments(), &matcher.methods, position));
        };
        if matcher.hosts.is_empty() {
            into(&mut self.any);
        }
        for host in &matcher.hosts {
            let tries = match host.wildcard_suffix() {
                Some(_) => &mut self.wildcard,
                None => &mut self.exact,
            };
            into(tries.entry(host.name().into()).or_default());
        }
        // A host that a route names twice is no overlap with itself.
        overlaps.retain(|first| *first != position);
        overlaps
    }
}

#[cfg(test)]
mod tests;
