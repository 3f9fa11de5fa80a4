//! The route table: longest match, default deny.
//!
//! Hosts: an exact name before a wildcard before no name at all; a request that no route of its own
//! host matches is looked up in the next. Paths: segment by segment a literal before `{name}` before
//! `{*rest}`. The first path that matches decides, and then its methods: a shorter route never takes
//! what a longer one refuses.

use std::collections::HashMap;

use http::{HeaderValue, Method};

use super::pattern::{HostPattern, PathPattern, Segment};

/// Where a route applies.
#[derive(Clone, Debug)]
pub struct Matcher {
    /// Empty means every host.
    pub hosts: Vec<HostPattern>,
    /// The path.
    pub path: PathPattern,
    /// Empty means every method that is forwarded. `GET` brings `HEAD`.
    pub methods: Vec<Method>,
}

/// What the table found.
#[derive(Debug)]
pub enum Found<'a, T> {
    /// The route.
    Route(&'a T),
    /// The path is known, the method is not among its routes'; the `Allow` value.
    OtherMethods(&'a HeaderValue),
    /// No route.
    Nothing,
}

/// Two routes of equal rank (their positions in the list given to `build`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// The earlier.
    pub first: usize,
    /// The later.
    pub second: usize,
}

type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// Routes by host, path and method. A lookup costs the length of the path, whatever the number of
/// routes.
#[derive(Debug)]
pub struct Table<T> {
    routes: Vec<T>,
    exact: Map<Box<str>, Node>,
    wildcard: Map<Box<str>, Node>,
    any: Node,
}

/// One place in the tree of segments.
#[derive(Debug, Default)]
struct Node {
    literals: Map<Box<str>, Node>,
    placeholder: Option<Box<Node>>,
    here: Option<Methods>,
    rest: Option<Methods>,
}

/// The routes of one path by method, as positions in the list.
#[derive(Debug, Default)]
struct Methods {
    every: Option<usize>,
    named: Vec<(Method, usize)>,
    allow: Option<HeaderValue>,
}

impl<T> Table<T> {
    /// Builds the table; routes of equal rank that overlap are refused.
    pub fn build(routes: Vec<(Matcher, T)>) -> Result<Self, Vec<Overlap>> {
        let mut table = Self {
            routes: Vec::with_capacity(routes.len()),
            exact: Map::default(),
            wildcard: Map::default(),
            any: Node::default(),
        };
        let mut overlaps = Vec::new();
        for (position, (matcher, route)) in routes.into_iter().enumerate() {
            table.routes.push(route);
            let mut add = |root: &mut Node| {
                if let Err(first) = root.insert(&matcher, position) {
                    overlaps.push(Overlap { first, second: position });
                }
            };
            if matcher.hosts.is_empty() {
                add(&mut table.any);
            }
            for host in &matcher.hosts {
                match host {
                    HostPattern::Exact(name) => add(table.exact.entry(name.clone()).or_default()),
                    HostPattern::Wildcard(name) => {
                        add(table.wildcard.entry(name.clone()).or_default());
                    }
                }
            }
        }
        if overlaps.is_empty() { Ok(table) } else { Err(overlaps) }
    }

    /// The longest match for a canonical host and path.
    pub fn find(&self, host: &str, path: &str, method: &Method) -> Found<'_, T> {
        let parent = host.split_once('.').map(|(_, parent)| parent);
        let roots = [
            self.exact.get(host),
            parent.and_then(|parent| self.wildcard.get(parent)),
            Some(&self.any),
        ];
        let path = path.strip_prefix('/').unwrap_or(path);
        let Some(methods) = roots.into_iter().flatten().find_map(|root| root.find(Some(path)))
        else {
            return Found::Nothing;
        };
        match methods.find(method).and_then(|position| self.routes.get(position)) {
            Some(route) => Found::Route(route),
            None => methods.allow.as_ref().map_or(Found::Nothing, Found::OtherMethods),
        }
    }

    /// All routes, in the order given.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.routes.iter()
    }
}

impl Node {
    /// Puts a route in its place, or says which route has it.
    fn insert(&mut self, matcher: &Matcher, position: usize) -> Result<(), usize> {
        let mut node = self;
        for segment in matcher.path.segments() {
            node = match segment {
                Segment::Literal(text) => node.literals.entry(text.clone()).or_default(),
                Segment::Any => node.placeholder.get_or_insert_default(),
            };
        }
        let place = if matcher.path.has_rest() { &mut node.rest } else { &mut node.here };
        place.get_or_insert_default().insert(&matcher.methods, position)
    }

    /// The methods of the longest pattern that matches what is left of the path; `None` is nothing
    /// left. Each node of the tree is visited at most once.
    fn find(&self, left: Option<&str>) -> Option<&Methods> {
        let Some(left) = left else {
            return self.here.as_ref().or(self.rest.as_ref());
        };
        let (segment, left) = match left.split_once('/') {
            Some((segment, left)) => (segment, Some(left)),
            None => (left, None),
        };
        let literal = self.literals.get(segment).and_then(|node| node.find(left));
        literal
            .or_else(|| {
                let node = self.placeholder.as_deref().filter(|_| !segment.is_empty())?;
                node.find(left)
            })
            .or(self.rest.as_ref())
    }
}

impl Methods {
    fn insert(&mut self, methods: &[Method], position: usize) -> Result<(), usize> {
        if methods.is_empty() {
            if let Some(first) = self.every.or(self.named.first().map(|(_, first)| *first)) {
                return Err(first);
            }
            self.every = Some(position);
            return Ok(());
        }
        if let Some(first) = self.every {
            return Err(first);
        }
        for method in methods {
            if let Some((_, first)) = self.named.iter().find(|(named, _)| named == method) {
                return Err(*first);
            }
        }
        self.named.extend(methods.iter().map(|method| (method.clone(), position)));
        self.allow = allow(&self.named);
        Ok(())
    }

    fn find(&self, method: &Method) -> Option<usize> {
        let named = |wanted: &Method| {
            self.named.iter().find(|(method, _)| method == wanted).map(|(_, position)| *position)
        };
        self.every.or_else(|| named(method)).or_else(|| {
            // HEAD is GET without a body (RFC 9110 section 9.3.2).
            if method == Method::HEAD { named(&Method::GET) } else { None }
        })
    }
}

fn allow(named: &[(Method, usize)]) -> Option<HeaderValue> {
    let mut names: Vec<&str> = named.iter().map(|(method, _)| method.as_str()).collect();
    if names.contains(&"GET") && !names.contains(&"HEAD") {
        names.push("HEAD");
    }
    names.sort_unstable();
    HeaderValue::try_from(names.join(", ")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matcher(host: &str, path: &str, methods: &[&str]) -> Matcher {
        Matcher {
            hosts: if host.is_empty() { vec![] } else { vec![HostPattern::parse(host).unwrap()] },
            path: PathPattern::parse(path).unwrap(),
            methods: methods.iter().map(|method| method.parse().unwrap()).collect(),
        }
    }

    fn table(routes: &[(&str, &str, &[&str])]) -> Table<usize> {
        let routes = routes.iter().enumerate();
        Table::build(
            routes.map(|(at, (host, path, methods))| (matcher(host, path, methods), at)).collect(),
        )
        .unwrap()
    }

    fn found(table: &Table<usize>, host: &str, path: &str, method: &str) -> String {
        match table.find(host, path, &method.parse().unwrap()) {
            Found::Route(position) => position.to_string(),
            Found::OtherMethods(allow) => allow.to_str().unwrap().to_owned(),
            Found::Nothing => "nothing".into(),
        }
    }

    #[test]
    fn the_longest_match_wins() {
        let table = table(&[
            ("", "/{*rest}", &[]),
            ("", "/a/{*rest}", &[]),
            ("", "/a/{id}", &[]),
            ("", "/a/b", &[]),
            ("", "/a/b/{*rest}", &[]),
            ("", "/a/{id}/c", &[]),
        ]);
        for (path, expected) in [
            ("/", "0"),
            ("/x", "0"),
            ("/ab", "0"),
            ("/a", "1"),
            ("/a/", "1"),
            ("/a/x", "2"),
            ("/a/b", "3"),
            ("/a/b/", "4"),
            ("/a/b/c", "4"),
            ("/a/x/c", "5"),
            ("/a/x/d", "1"),
            ("/A/b", "0"),
        ] {
            assert_eq!(found(&table, "h", path, "GET"), expected, "{path}");
        }
    }

    #[test]
    fn a_shorter_route_never_takes_what_a_longer_one_refuses() {
        let table = table(&[("", "/{*rest}", &[]), ("", "/a", &["GET", "POST"])]);
        assert_eq!(found(&table, "h", "/a", "DELETE"), "GET, HEAD, POST");
        assert_eq!(found(&table, "h", "/a", "HEAD"), "1");
        assert_eq!(found(&table, "h", "/b", "DELETE"), "0");
    }

    #[test]
    fn nothing_matches_by_default() {
        let table = table(&[("a.test", "/a", &[])]);
        assert_eq!(found(&table, "a.test", "/b", "GET"), "nothing");
        assert_eq!(found(&table, "b.test", "/a", "GET"), "nothing");
        assert_eq!(found(&table, "a.test", "/a/", "GET"), "nothing");
    }

    #[test]
    fn an_exact_host_comes_before_a_wildcard_before_any() {
        let table = table(&[
            ("", "/a", &[]),
            ("*.test", "/a", &[]),
            ("a.test", "/a", &[]),
            ("", "/b", &[]),
        ]);
        assert_eq!(found(&table, "a.test", "/a", "GET"), "2");
        assert_eq!(found(&table, "b.test", "/a", "GET"), "1");
        assert_eq!(found(&table, "b.a.test", "/a", "GET"), "0");
        assert_eq!(found(&table, "a.test", "/b", "GET"), "3");
    }

    #[test]
    fn routes_of_equal_rank_are_refused() {
        for (one, other) in [
            (("", "/a/{x}", &[][..]), ("", "/a/{y}", &[][..])),
            (("", "/a", &["GET"]), ("", "/a", &["GET", "POST"])),
            (("", "/a", &["GET"]), ("", "/a", &[])),
            (("a", "/a", &[]), ("a", "/a", &[])),
        ] {
            let routes =
                [one, other].map(|(host, path, methods)| (matcher(host, path, methods), ()));
            assert_eq!(
                Table::build(routes.into()).unwrap_err(),
                vec![Overlap { first: 0, second: 1 }]
            );
        }
        let apart =
            [matcher("", "/a", &["GET"]), matcher("", "/a", &["POST"]), matcher("a", "/a", &[])];
        assert!(Table::build(apart.map(|matcher| (matcher, ())).into()).is_ok());
    }
}
