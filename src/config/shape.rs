//! Checks the document against the schema: unknown and missing keys, wrong types, numbers and lists out of bounds.
//! Invalid parts are reported and removed, so that the rest can be resolved and its problems reported too.

use serde_json::Value as Node;
use toml::{Table, Value};

use super::document::join;
use super::report::{ConfigReport, closest};
use super::schema::{follow, schema};

/// Checks the whole document.
pub(super) fn check(document: &mut Table, report: &mut ConfigReport) {
    check_table(schema(), document, "", report);
}

fn check_table(node: &'static Node, table: &mut Table, path: &str, report: &mut ConfigReport) {
    let Some(Node::Object(known)) = node.get("properties") else { return };
    table.retain(|key, value| {
        let path = join(path, key);
        match known.get(key) {
            Some(node) => check_value(node, value, &path, report),
            None => {
                let what = "is not a known key";
                match closest(key, known.keys().map(String::as_str)) {
                    Some(meant) => {
                        report.problem_with_hint(
                            &path,
                            what,
                            format_args!("did you mean {meant}?"),
                        );
                    }
                    None => report.problem(&path, what),
                }
                false
            }
        }
    });
    let required = node.get("required").and_then(Node::as_array).into_iter().flatten();
    for key in required.filter_map(Node::as_str) {
        let path = join(path, key);
        if !table.contains_key(key) && !report.is_marked(&path) {
            report.problem(&path, "is missing");
        }
    }
}

/// Checks a value; returns whether it is valid.
fn check_value(
    node: &'static Node,
    value: &mut Value,
    path: &str,
    report: &mut ConfigReport,
) -> bool {
    let node = choose(follow(node), value);
    if let Some(allowed) = words(node) {
        return check_word(&allowed, value, path, report);
    }
    match (node.get("type").and_then(Node::as_str), value) {
        (Some("object"), Value::Table(table)) => {
            if node.get("properties").is_some() {
                check_table(node, table, path, report);
                true
            } else {
                check_map(node, table, path, report)
            }
        }
        (Some("array"), Value::Array(items)) => check_list(node, items, path, report),
        (Some("integer"), Value::Integer(number)) => check_number(node, *number, path, report),
        (Some("string"), Value::String(_)) | (Some("boolean"), Value::Boolean(_)) => true,
        _ => {
            report.problem(path, format_args!("must be {}", expected(node)));
            false
        }
    }
}

/// Selects the alternative of the value's type, else the last.
fn choose(node: &'static Node, value: &Value) -> &'static Node {
    let Some(Node::Array(alternatives)) = node.get("anyOf") else { return node };
    let of_type = |node: &&'static Node| {
        let kind = node.get("type").and_then(Node::as_str);
        match value {
            Value::Integer(_) => kind == Some("integer"),
            Value::Boolean(_) => kind == Some("boolean"),
            Value::String(_) => kind == Some("string") || words(node).is_some(),
            Value::Array(_) => kind == Some("array"),
            Value::Float(_) | Value::Datetime(_) | Value::Table(_) => false,
        }
    };
    alternatives.iter().map(follow).find(of_type).unwrap_or(node)
}

/// The words of an enumeration.
fn words(node: &'static Node) -> Option<Vec<&'static str>> {
    if let Some(Node::Array(words)) = node.get("enum") {
        return Some(words.iter().filter_map(Node::as_str).collect());
    }
    if let Some(word) = node.get("const").and_then(Node::as_str) {
        return Some(vec![word]);
    }
    let Some(Node::Array(alternatives)) = node.get("oneOf") else { return None };
    Some(alternatives.iter().filter_map(words).flatten().collect())
}

fn check_word(allowed: &[&str], value: &Value, path: &str, report: &mut ConfigReport) -> bool {
    let word = value.as_str();
    if word.is_some_and(|word| allowed.contains(&word)) {
        return true;
    }
    let what = format!("must be {}", alternatives(allowed));
    match word.and_then(|word| closest(word, allowed.iter().copied())) {
        Some(meant) => {
            report.problem_with_hint(path, what, format_args!("did you mean \"{meant}\"?"));
        }
        None => report.problem(path, what),
    }
    false
}

fn alternatives(words: &[&str]) -> String {
    words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(" or ")
}

fn check_map(
    node: &'static Node,
    table: &mut Table,
    path: &str,
    report: &mut ConfigReport,
) -> bool {
    let most = bound(node, "maxProperties").unwrap_or(i64::MAX);
    if i64::try_from(table.len()).is_ok_and(|length| length > most) {
        report.problem(path, format_args!("must have at most {most} entries"));
        return false;
    }
    if let Some(inner) = node.get("additionalProperties") {
        table.retain(|key, value| check_value(inner, value, &join(path, key), report));
    }
    true
}

fn check_list(
    node: &'static Node,
    items: &mut [Value],
    path: &str,
    report: &mut ConfigReport,
) -> bool {
    let (least, most) = (bound(node, "minItems"), bound(node, "maxItems"));
    let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
    if least.is_some_and(|least| length < least) {
        report.problem_with_hint(path, "is empty", "set at least one, or remove the key");
        return false;
    }
    if let Some(most) = most.filter(|most| length > *most) {
        report.problem(path, format_args!("has {length} entries; at most {most} are allowed"));
        return false;
    }
    let Some(inner) = node.get("items") else { return true };
    let mut fit = true;
    for (position, item) in items.iter_mut().enumerate() {
        fit &= check_value(inner, item, &format!("{path}[{position}]"), report);
    }
    if !fit {
        report.mark(path);
    }
    fit
}

fn check_number(node: &Node, number: i64, path: &str, report: &mut ConfigReport) -> bool {
    let (least, most) = (bound(node, "minimum"), bound(node, "maximum"));
    let fits = least.is_none_or(|least| number >= least) && most.is_none_or(|most| number <= most);
    if !fits {
        report.problem(
            path,
            match (least, most) {
                (Some(least), Some(most)) => format!("must be {least} to {most}"),
                (Some(least), None) => format!("must be {least} or more"),
                (None, most) => format!("must be {} or less", most.unwrap_or(i64::MAX)),
            },
        );
    }
    fits
}

fn bound(node: &Node, name: &str) -> Option<i64> {
    node.get(name).and_then(Node::as_i64)
}

/// The description of the expected type.
fn expected(node: &'static Node) -> String {
    if let Some(Node::Array(alternatives)) = node.get("anyOf") {
        let all: Vec<_> = alternatives.iter().map(|node| expected(follow(node))).collect();
        return all.join(" or ");
    }
    if let Some(words) = words(node) {
        return self::alternatives(&words);
    }
    match node.get("type").and_then(Node::as_str) {
        Some("object") => "a table",
        Some("array") => "a list",
        Some("integer") => "a whole number",
        Some("boolean") => "true or false",
        _ => "a string",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::document;
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let mut report = ConfigReport::new(Path::new("a.toml"));
        let mut table = document::parse(text, &mut report).unwrap();
        check(&mut table, &mut report);
        report.finish().err().map(|problems| problems.0).unwrap_or_default()
    }

    #[test]
    fn every_problem_of_shape_is_told_with_its_line_and_a_hint() {
        let text = "mod = \"local\"\ntrusted_proxies = \"10.0.0.0/8\"\n[[listeners]]\n\
                    adress = \"127.0.0.1:1\"\n[lockout]\nfailures = 0\nduration = 5\n[tokens]\n\
                    algorithm = \"RS265\"\nrefresh_rotation = \"yes\"\n[[routes]]\npath = \"/\"\n\
                    methods = []\nupstream = 5\nmax_body = true\n";
        assert_eq!(
            problems(text),
            [
                "a.toml:1: mod: is not a known key (did you mean mode?)",
                "a.toml:2: trusted_proxies: must be a list",
                "a.toml:3: listeners[0].address: is missing",
                "a.toml:4: listeners[0].adress: is not a known key (did you mean address?)",
                "a.toml:6: lockout.failures: must be 1 to 1000",
                "a.toml:7: lockout.duration: must be a string",
                "a.toml:9: tokens.algorithm: must be \"RS256\" or \"ES256\" or \"EdDSA\" or \
                 \"HS256\" (did you mean \"RS256\"?)",
                "a.toml:10: tokens.refresh_rotation: must be \"off\" or \"static\" or \"rotate\"",
                "a.toml:13: routes[0].methods: is empty (set at least one, or remove the key)",
                "a.toml:14: routes[0].upstream: must be a string",
                "a.toml:15: routes[0].max_body: must be a whole number or a string",
            ]
        );
    }

    #[test]
    fn lists_are_bounded() {
        let listener = "listeners = [{ address = \"127.0.0.1:1\" }]\n";
        let routes = format!("{listener}routes = [{}]", "{},".repeat(100_001));
        assert_eq!(
            problems(&routes),
            ["a.toml:2: routes: has 100001 entries; at most 100000 are allowed"]
        );
        let listeners = format!("listeners = [{}]", "{},".repeat(101));
        assert_eq!(
            problems(&listeners),
            ["a.toml:1: listeners: has 101 entries; at most 100 are allowed"]
        );
    }

    #[test]
    fn a_value_that_is_wrong_is_never_repeated() {
        let told = problems("[store]\ndatabase = [\"hunter2\"]\nredis = 77777\n").join("\n");
        assert!(!told.contains("hunter2") && !told.contains("77777"), "{told}");
    }
}
