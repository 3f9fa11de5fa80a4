use proptest::prelude::*;

use super::*;

fn matcher(hosts: &[&str], path: &str, methods: &[&str]) -> Matcher {
    Matcher {
        hosts: hosts.iter().map(|host| HostPattern::parse(host).unwrap()).collect(),
        path: PathPattern::parse(path).unwrap(),
        methods: methods.iter().map(|name| Method::from_bytes(name.as_bytes()).unwrap()).collect(),
    }
}

fn paths(paths: &[&'static str]) -> RouteTable<&'static str> {
    RouteTable::build(paths.iter().map(|path| (matcher(&[], path, &[]), *path)).collect()).unwrap()
}

fn find<'a>(table: &'a RouteTable<&'static str>, path: &str) -> Option<&'a str> {
    match table.find("a.test", path, &Method::GET) {
        Match::Route(route) => Some(route),
        Match::OtherMethods(_) | Match::Nothing => None,
    }
}

#[test]
fn the_longest_match_wins() {
    let table = paths(&[
        "/{*rest}",
        "/a",
        "/a/",
        "/a/{*rest}",
        "/a/b",
        "/a/{x}/c/d",
        "/a/b/{*rest}",
        "/a/{x}/{y}",
        "/{x}/b/c",
        "/q/{x}",
        "/q/{x}/z/{*rest}",
    ]);
    for (path, expected) in [
        ("/", "/{*rest}"),
        ("/z", "/{*rest}"),
        ("/A", "/{*rest}"),
        ("/ab", "/{*rest}"),
        ("/a", "/a"),
        ("/a/", "/a/"),
        ("/a/b", "/a/b"),
        ("/a/b/", "/a/b/{*rest}"),
        ("/a/x", "/a/{*rest}"),
        ("/a/x/y", "/a/{x}/{y}"),
        ("/a/x/y/", "/a/{*rest}"),
        ("/a/x/y/z", "/a/{*rest}"),
        ("/a/b/c", "/a/b/{*rest}"),
        ("/a/b/c/d", "/a/{x}/c/d"),
        ("/a/b/c/e", "/a/b/{*rest}"),
        ("/z/b/c", "/{x}/b/c"),
        ("/q/1", "/q/{x}"),
        ("/q/", "/{*rest}"),
        ("/q/1/z", "/q/{x}/z/{*rest}"),
        ("/q/1/z/2/3", "/q/{x}/z/{*rest}"),
        ("/q/1/y", "/{*rest}"),
    ] {
        assert_eq!(find(&table, path), Some(expected), "{path}");
    }
}

#[test]
fn the_rest_covers_the_thing_itself() {
    let table = paths(&["/orders/{*rest}"]);
    for path in ["/orders", "/orders/", "/orders/1", "/orders/1/2/"] {
        assert_eq!(find(&table, path), Some("/orders/{*rest}"), "{path}");
    }
    assert_eq!(find(&table, "/"), None);
}

/// path-confusion-012, path-confusion-015, path-confusion-017, path-confusion-018
#[test]
fn a_near_miss_matches_nothing() {
    let table = paths(&["/public/{*rest}", "/admin/{*rest}", "/health", "/api/{name}"]);
    for path in [
        "/publicadmin",
        "/public-internal/x",
        "/public.bak",
        "/ADMIN/x",
        "/Admin/x",
        "/admin.",
        "/admin%20",
        "/health/",
        "/healt",
        "/healthx",
        "/api",
        "/api/",
        "/api/a/b",
        "/",
    ] {
        assert_eq!(find(&table, path), None, "{path}");
    }
    assert_eq!(find(&table, "/admin/"), Some("/admin/{*rest}"));
}

#[test]
fn a_reserved_character_encoded_finds_the_same_route() {
    let table = paths(&["/{*rest}", "/@admin/{*rest}", "/items:batch", "/a%20b"]);
    assert_eq!(find(&table, "/%40admin/x"), Some("/@admin/{*rest}"));
    assert_eq!(find(&table, "/items%3Abatch"), Some("/items:batch"));
    assert_eq!(find(&table, "/a%20b"), Some("/a%20b"));
    assert_eq!(find(&table, &format!("/{}", "%20".repeat(1000))), Some("/{*rest}"));
}

#[test]
fn the_nearest_host_that_knows_the_path_decides() {
    let table = RouteTable::build(vec![
        (matcher(&[], "/{*rest}", &[]), "any"),
        (matcher(&[], "/only", &[]), "any only"),
        (matcher(&["*.example.test"], "/x/{*rest}", &[]), "wildcard"),
        (matcher(&["a.example.test", "B.example.test."], "/x/y", &[]), "exact"),
        (matcher(&["[::1]"], "/", &[]), "address"),
    ])
    .unwrap();
    let find = |host, path| table.find(host, path, &Method::GET);
    assert_eq!(find("a.example.test", "/x/y"), Match::Route(&"exact"));
    assert_eq!(find("b.example.test", "/x/y"), Match::Route(&"exact"));
    assert_eq!(find("a.example.test", "/x/z"), Match::Route(&"wildcard"));
    assert_eq!(find("c.example.test", "/x/y"), Match::Route(&"wildcard"));
    assert_eq!(find("a.example.test", "/only"), Match::Route(&"any only"));
    assert_eq!(find("example.test", "/x/y"), Match::Route(&"any"));
    assert_eq!(find("a.b.example.test", "/x/y"), Match::Route(&"any"));
    assert_eq!(find(".example.test", "/x/y"), Match::Route(&"any"));
    assert_eq!(find("[::1]", "/"), Match::Route(&"address"));
}

#[test]
fn the_methods_of_the_longest_path_decide_alone() {
    let table = RouteTable::build(vec![
        (matcher(&[], "/{*rest}", &[]), "wide"),
        (matcher(&[], "/a/{id}", &["GET", "PUT"]), "read"),
        (matcher(&[], "/a/{name}", &["POST"]), "write"),
        (matcher(&[], "/b", &["GET"]), "get"),
        (matcher(&[], "/b", &["HEAD"]), "head"),
    ])
    .unwrap();
    let find = |path, method: &str| {
        table.find("a.test", path, &Method::from_bytes(method.as_bytes()).unwrap())
    };
    assert_eq!(find("/a/1", "GET"), Match::Route(&"read"));
    assert_eq!(find("/a/1", "HEAD"), Match::Route(&"read"));
    assert_eq!(find("/a/1", "POST"), Match::Route(&"write"));
    assert_eq!(find("/b", "HEAD"), Match::Route(&"head"));
    assert_eq!(find("/c", "PROPFIND"), Match::Route(&"wide"));
    for method in ["DELETE", "get", "OPTIONS"] {
        let Match::OtherMethods(allow) = find("/a/1", method) else {
            panic!("{method} fell through")
        };
        assert_eq!(allow, "GET, HEAD, POST, PUT");
    }
    let Match::OtherMethods(allow) = find("/b", "PUT") else { panic!("PUT fell through") };
    assert_eq!(allow, "GET, HEAD");
}

#[test]
fn routes_of_equal_rank_that_overlap_are_refused() {
    let overlaps = |routes: Vec<Matcher>| {
        RouteTable::build(routes.into_iter().map(|matcher| (matcher, ())).collect())
            .err()
            .unwrap_or_default()
    };
    let pair = vec![Overlap { first: 0, second: 1 }];
    let a = ["a.test"].as_slice();
    for (one, other, expected) in [
        (matcher(&[], "/a", &[]), matcher(&[], "/a", &[]), true),
        (matcher(&[], "/a", &["GET"]), matcher(&[], "/a", &[]), true),
        (matcher(&[], "/a", &[]), matcher(&[], "/a", &["GET"]), true),
        (matcher(&[], "/a", &["GET", "PUT"]), matcher(&[], "/a", &["PUT"]), true),
        (matcher(&[], "/a/{x}", &["GET"]), matcher(&[], "/a/{y}", &["GET"]), true),
        (matcher(&[], "/a/{*x}", &[]), matcher(&[], "/a/{*y}", &[]), true),
        (matcher(&[], "/@a", &[]), matcher(&[], "/%40a", &[]), true),
        (matcher(a, "/a", &[]), matcher(&["b.test", "A.test"], "/a", &[]), true),
        (matcher(&["*.test"], "/a", &[]), matcher(&["*.test"], "/a", &[]), true),
        (matcher(&[], "/a", &["GET"]), matcher(&[], "/a", &["PUT"]), false),
        (matcher(&[], "/a", &["GET"]), matcher(&[], "/a", &["HEAD"]), false),
        (matcher(&[], "/a/{x}", &[]), matcher(&[], "/a/{*x}", &[]), false),
        (matcher(&[], "/a", &[]), matcher(&[], "/a/", &[]), false),
        (matcher(a, "/a", &[]), matcher(&[], "/a", &[]), false),
        (matcher(a, "/a", &[]), matcher(&["*.test"], "/a", &[]), false),
    ] {
        let case = format!("{one:?} {other:?}");
        assert_eq!(
            overlaps(vec![one, other]),
            if expected { pair.clone() } else { vec![] },
            "{case}"
        );
    }
    assert!(overlaps(vec![matcher(&["a.test", "A.test."], "/a", &["GET", "GET"])]).is_empty());
    let three = vec![matcher(&[], "/a", &[]), matcher(&[], "/b", &[]), matcher(&[], "/b", &[])];
    assert_eq!(overlaps(three), [Overlap { first: 1, second: 2 }]);
}

#[test]
fn an_empty_table_denies() {
    let table = RouteTable::<()>::build(vec![]).unwrap();
    for path in ["/", "", "/a/b"] {
        assert_eq!(table.find("a.test", path, &Method::GET), Match::Nothing);
    }
}

/// How many literals a pattern has, and what it has at each segment, smaller being better; `None`
/// where it does not match.
fn rank(pattern: &str, path: &str) -> Option<(std::cmp::Reverse<usize>, Vec<u8>)> {
    let mut path = path.get(1..)?.split('/');
    let mut kinds = Vec::new();
    for segment in pattern.get(1..)?.split('/') {
        if segment.starts_with("{*") {
            kinds.push(2);
            return Some((
                std::cmp::Reverse(kinds.iter().filter(|kind| **kind == 0).count()),
                kinds,
            ));
        }
        let given = path.next()?;
        if segment.starts_with('{') {
            if given.is_empty() {
                return None;
            }
            kinds.push(1);
        } else if segment == given {
            kinds.push(0);
        } else {
            return None;
        }
    }
    if path.next().is_some() {
        return None;
    }
    Some((std::cmp::Reverse(kinds.iter().filter(|kind| **kind == 0).count()), kinds))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, ..ProptestConfig::default() })]

    /// The trie finds what a comparison of all patterns finds.
    #[test]
    fn the_trie_agrees_with_the_rule(
        patterns in prop::collection::hash_set("(/([ab]|\\{x\\})){0,4}(/\\{\\*r\\}|/[ab]?)", 1..12),
        path in "(/[abc]){0,5}/[abc]?",
    ) {
        let patterns: Vec<String> =
            patterns.into_iter().filter(|pattern| pattern.matches("{x}").count() < 2).collect();
        let routes = patterns.iter().map(|pattern| (matcher(&[], pattern, &[]), pattern.clone()));
        let table = RouteTable::build(routes.collect()).unwrap();
        let expected = patterns
            .iter()
            .filter_map(|pattern| rank(pattern, &path).map(|rank| (rank, pattern)))
            .min_by(|one, other| one.0.cmp(&other.0))
            .map(|(_, pattern)| pattern);
        let found = match table.find("a.test", &path, &Method::GET) {
            Match::Route(route) => Some(route),
            Match::OtherMethods(_) | Match::Nothing => None,
        };
        prop_assert_eq!(found, expected);
    }
}
