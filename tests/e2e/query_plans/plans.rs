//! Plans as a PostgreSQL server logs them with auto_explain.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::filling::LARGE;

/// What came of one statement.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) times: usize,
    /// Milliseconds.
    pub(crate) slowest: f64,
    pub(crate) indices: BTreeSet<String>,
    /// Large tables that were read from end to end.
    pub(crate) scanned: BTreeSet<String>,
    /// The most rows of a large table that one step read or passed by.
    pub(crate) rows: f64,
}

/// Every statement in the log whose lines begin like that.
pub(crate) fn seen(log: &str, prefix: &str) -> BTreeMap<String, Seen> {
    let mut found: BTreeMap<String, Seen> = BTreeMap::new();
    let mut lines = log.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(rest) = line.strip_prefix(prefix) else { continue };
        let Some(duration) = rest.trim().strip_prefix("duration: ") else { continue };
        let Some((milliseconds, "plan:")) = duration.split_once(" ms  ") else { continue };
        let mut text = String::new();
        while let Some(more) = lines.next_if(|line| line.starts_with('\t')) {
            text.push_str(more);
            text.push('\n');
        }
        let logged: Value = serde_json::from_str(&text).unwrap();
        let statement = logged["Query Text"].as_str().unwrap().to_owned();
        let seen = found.entry(statement).or_default();
        seen.times += 1;
        seen.slowest = seen.slowest.max(milliseconds.parse().unwrap());
        seen.look(&logged["Plan"]);
    }
    found
}

impl Seen {
    fn look(&mut self, step: &Value) {
        if let Some(index) = step["Index Name"].as_str() {
            self.indices.insert(index.to_owned());
        }
        if let Some(table) = step["Relation Name"].as_str().filter(|table| LARGE.contains(table)) {
            if step["Node Type"] == "Seq Scan" {
                self.scanned.insert(table.to_owned());
            }
            // Rows are told for each turn of a loop.
            let number = |name: &str| step[name].as_f64().unwrap_or(0.0);
            let rows = number("Actual Rows") + number("Rows Removed by Filter");
            self.rows = self.rows.max(rows * number("Actual Loops"));
        }
        for below in step["Plans"].as_array().into_iter().flatten() {
            self.look(below);
        }
    }
}

#[test]
fn a_scan_below_is_found_and_so_are_the_rows_it_passed_by() {
    let log = "other,LOG:  duration: 9.000 ms  plan:\n\t{}\nguarita,LOG:  duration: 0.250 ms  plan:\n\t{\n\
        \t\"Query Text\": \"SELECT 1\", \"Plan\": {\"Node Type\": \"Limit\", \"Plans\": [{\"Node Type\": \
        \"Seq Scan\", \"Relation Name\": \"sessions\", \"Actual Rows\": 1, \"Actual Loops\": 2, \
        \"Rows Removed by Filter\": 30}, {\"Node Type\": \"Index Scan\", \"Index Name\": \"i\"}]}\n\t}\n";
    let found = seen(log, "guarita,LOG:");
    let seen = &found["SELECT 1"];
    assert_eq!((found.len(), seen.times), (1, 1));
    assert!(seen.scanned.contains("sessions") && seen.indices.contains("i"));
    assert!((seen.rows - 62.0).abs() < 0.1 && (seen.slowest - 0.25).abs() < 0.01, "{seen:?}");
}
