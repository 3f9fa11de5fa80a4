//! A trie of path patterns by segment.

use std::collections::HashMap;

use http::{HeaderValue, Method};

use super::pattern::{MAX_PATTERN, Segment, fold};

/// The patterns of one host.
#[derive(Debug, Default)]
pub(super) struct Trie {
    root: Node,
}

#[derive(Debug, Default)]
struct Node {
    literals: HashMap<Box<str>, Node>,
    one: Option<Box<Node>>,
    /// The pattern ends here.
    end: Option<Leaf>,
    /// `{*rest}` ends here.
    rest: Option<Leaf>,
    /// Maximum number of literals on any path below this node.
    below: usize,
}

/// The best match so far, and its number of literals.
#[derive(Clone, Copy, Default)]
struct Best<'a> {
    leaf: Option<&'a Leaf>,
    literals: usize,
}

impl Trie {
    /// Inserts a route; returns the routes with the same pattern and a method in common.
    pub(super) fn insert(
        &mut self,
        segments: &[Segment],
        methods: &[Method],
        route: usize,
    ) -> Vec<usize> {
        let mut node = &mut self.root;
        let mut literals =
            segments.iter().filter(|segment| matches!(segment, Segment::Literal(_))).count();
        for segment in segments {
            node.below = node.below.max(literals);
            match segment {
                Segment::Literal(text) => {
                    literals -= 1;
                    node = node.literals.entry(text.clone()).or_default();
                }
                Segment::One => node = node.one.get_or_insert_default(),
                Segment::Rest => return node.rest.get_or_insert_default().insert(methods, route),
            }
        }
        node.end.get_or_insert_default().insert(methods, route)
    }

    /// The longest match for a canonical path.
    pub(super) fn find(&self, path: &str) -> Option<&Leaf> {
        let mut best = Best::default();
        self.root.search(Some(path.strip_prefix('/')?), 0, &mut best);
        best.leaf
    }
}

impl Node {
    /// Visits all matching paths, in the order of precedence at equal numbers of literals. Paths that cannot
    /// have more literals than the best match are skipped. The depth is at most that of the longest pattern.
    fn search<'a>(&'a self, remaining: Option<&str>, literals: usize, best: &mut Best<'a>) {
        if best.leaf.is_some() && literals + self.below <= best.literals {
            return;
        }
        if let Some(remaining) = remaining {
            let (segment, next) = match remaining.split_once('/') {
                Some((segment, next)) => (segment, Some(next)),
                None => (remaining, None),
            };
            if let Some(node) = self.literal(segment) {
                node.search(next, literals + 1, best);
            }
            if let Some(node) = &self.one
                && !segment.is_empty()
            {
                node.search(next, literals, best);
            }
        } else {
            best.offer(self.end.as_ref(), literals);
        }
        best.offer(self.rest.as_ref(), literals);
    }

    fn literal(&self, segment: &str) -> Option<&Self> {
        if self.literals.is_empty() {
            return None;
        }
        if !segment.contains('%') {
            return self.literals.get(segment);
        }
        let mut buffer = [0; MAX_PATTERN];
        self.literals.get(fold(segment, &mut buffer)?)
    }
}

impl<'a> Best<'a> {
    fn offer(&mut self, leaf: Option<&'a Leaf>, literals: usize) {
        if leaf.is_some() && (self.leaf.is_none() || literals > self.literals) {
            *self = Self { leaf, literals };
        }
    }
}

/// The routes of one pattern, by method.
#[derive(Debug)]
pub(super) struct Leaf {
    /// The route for every method; then there is no other.
    every: Option<usize>,
    methods: Vec<(Method, usize)>,
    allow: HeaderValue,
}

impl Default for Leaf {
    fn default() -> Self {
        Self { every: None, methods: Vec::new(), allow: HeaderValue::from_static("") }
    }
}

impl Leaf {
    fn insert(&mut self, methods: &[Method], route: usize) -> Vec<usize> {
        let mut overlaps: Vec<_> = self.every.into_iter().collect();
        if methods.is_empty() {
            overlaps.extend(self.methods.iter().map(|(_, other)| *other));
            self.every.get_or_insert(route);
        }
        for method in methods {
            match self.methods.iter().find(|(other, _)| other == method) {
                Some((_, other)) => overlaps.push(*other),
                None => self.methods.push((method.clone(), route)),
            }
        }
        self.allow = self.render_allow();
        overlaps
    }

    /// The route for the method. A route for GET also matches HEAD, unless another route names HEAD (RFC
    /// 9110 section 9.3.2).
    pub(super) fn find(&self, method: &Method) -> Option<usize> {
        let named = |method: &Method| {
            self.methods.iter().find(|(other, _)| other == method).map(|(_, route)| *route)
        };
        let as_get = || if *method == Method::HEAD { named(&Method::GET) } else { None };
        self.every.or_else(|| named(method)).or_else(as_get)
    }

    /// The value of `Allow` (RFC 9110 section 10.2.1).
    pub(super) const fn allow(&self) -> &HeaderValue {
        &self.allow
    }

    fn render_allow(&self) -> HeaderValue {
        let mut names: Vec<_> = self.methods.iter().map(|(method, _)| method.as_str()).collect();
        if names.contains(&"GET") {
            names.push("HEAD");
        }
        names.sort_unstable();
        names.dedup();
        HeaderValue::try_from(names.join(", ")).unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}
