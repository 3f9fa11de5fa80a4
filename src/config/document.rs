//! Parses the file into a tree of values, with the line of every key.

use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

use super::report::ConfigReport;

/// Parses the text. Syntax errors are reported with their line, but never with the text of the line, which might be a
/// secret.
pub(super) fn parse(text: &str, report: &mut ConfigReport) -> Option<Table> {
    let lines = Lines::new(text);
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let line = error.span().map_or(1, |span| lines.at(span.start));
        report.problem_on_line(
            line,
            format_args!("is not valid TOML: {}", first_line(error.message())),
        );
    }
    if !errors.is_empty() {
        return None;
    }
    Some(table(document.get_ref(), "", &lines, report))
}

/// Parses a value as written after `key =`.
pub(super) fn parse_value(text: &str) -> Option<Value> {
    let value = DeValue::parse(text).ok()?;
    let mut discarded = ConfigReport::new(std::path::Path::new(""));
    Some(convert(&value, "", &Lines::new(text), &mut discarded))
}

fn first_line(message: &str) -> &str {
    message.lines().next().unwrap_or("cannot be parsed")
}

/// The path of a key below another.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn table(source: &DeTable<'_>, path: &str, lines: &Lines, report: &mut ConfigReport) -> Table {
    let mut table = Table::new();
    for (key, value) in source {
        let path = join(path, key.get_ref());
        report.places.insert(path.clone(), lines.at(key.span().start));
        table.insert(key.get_ref().to_string(), convert(value, &path, lines, report));
    }
    table
}

fn convert(
    source: &Spanned<DeValue<'_>>,
    path: &str,
    lines: &Lines,
    report: &mut ConfigReport,
) -> Value {
    match source.get_ref() {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::Integer(number),
            Err(_) => Value::Integer(i64::MAX),
        },
        DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(value) => Value::Boolean(*value),
        DeValue::Datetime(value) => Value::Datetime(*value),
        DeValue::Table(inner) => Value::Table(table(inner, path, lines, report)),
        DeValue::Array(items) => {
            let items = items.iter().enumerate().map(|(position, item)| {
                let path = format!("{path}[{position}]");
                report.places.insert(path.clone(), lines.at(item.span().start));
                convert(item, &path, lines, report)
            });
            Value::Array(items.collect())
        }
    }
}

/// The offsets of lines.
struct Lines(Vec<usize>);

impl Lines {
    fn new(text: &str) -> Self {
        Self(
            text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect(),
        )
    }

    /// The line, from 1, of a byte.
    fn at(&self, offset: usize) -> usize {
        self.0.partition_point(|end| *end < offset) + 1
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_key_knows_its_line() {
        let text = "mode = \"local\"\n\n[[routes]]\npath = \"/a\"\n\n[[routes]]\npath = \"/b\"\n\
                    allow = { roles = [\n  \"a\",\n  \"b\" ] }\n[tokens]\nissuer = \"x\"\n";
        let mut report = ConfigReport::new(Path::new("a.toml"));
        let table = parse(text, &mut report).unwrap();
        assert_eq!(table["routes"][1]["path"].as_str(), Some("/b"));
        for (path, line) in [
            ("mode", 1),
            ("routes[0]", 3),
            ("routes[0].path", 4),
            ("routes[1]", 6),
            ("routes[1].path", 7),
            ("routes[1].allow.roles[1]", 10),
            ("tokens.issuer", 12),
        ] {
            assert_eq!(report.line(path), line, "{path}");
        }
    }

    #[test]
    fn all_errors_of_syntax_are_told_and_no_text_of_the_file() {
        let text = "mode = \nok = 1\ndatabase = \"hunter2\n[store\n";
        let mut report = ConfigReport::new(Path::new("a.toml"));
        assert!(parse(text, &mut report).is_none());
        let problems = report.finish().unwrap_err();
        assert!(problems.0.len() >= 2, "{problems}");
        assert!(problems.0[0].starts_with("a.toml:1: is not valid TOML: "), "{problems}");
        assert!(!problems.to_string().contains("hunter2"), "{problems}");
    }

    #[test]
    fn a_deep_tree_is_refused_and_does_not_exhaust_the_stack() {
        let text = format!("a = {}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(parse(&text, &mut ConfigReport::new(Path::new("a.toml"))).is_none());
    }
}
