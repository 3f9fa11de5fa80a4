//! The table, the file, and the difference to an earlier file.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::counts::{Counts, Threads};

/// What each request costs each proxy.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Report {
    rows: Vec<Row>,
}

#[derive(Serialize, Deserialize)]
struct Row {
    target: String,
    request: String,
    counts: Counts,
}

impl Report {
    pub(crate) fn add(&mut self, target: &str, request: &str, counts: Counts) {
        self.rows.push(Row { target: target.to_owned(), request: request.to_owned(), counts });
    }

    /// Reads what [`Report::write`] wrote.
    pub(crate) fn read(file: &Path) -> Self {
        let text = fs::read_to_string(file)
            .unwrap_or_else(|error| panic!("the baseline {}: {error}", file.display()));
        serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("the baseline {}: {error}", file.display()))
    }

    pub(crate) fn write(&self, file: &Path) {
        fs::write(file, serde_json::to_string_pretty(self).unwrap() + "\n").unwrap();
        println!("\nwritten to {}", file.display());
    }

    pub(crate) fn print(&self) {
        println!("What one request costs; after a plus sign, what other threads add.\n");
        let mut table = vec![words(&[
            "proxy",
            "request",
            "instructions",
            "allocations",
            "copies",
            "bytes copied",
            "system calls",
            "which",
        ])];
        for Row { target, request, counts } in &self.rows {
            let Counts { serving, others, copies, bytes_copied } = counts;
            let calls = [serving, others].map(Threads::all_system_calls);
            table.push(vec![
                target.clone(),
                request.clone(),
                with_others(serving.instructions, others.instructions, 0),
                with_others(serving.allocations, others.allocations, 2),
                format!("{copies:.1}"),
                format!("{bytes_copied:.0}"),
                with_others(calls[0], calls[1], 2),
                which(serving) + &prefixed(" + ", &which(others)),
            ]);
        }
        print_table(&table);
    }

    /// Prints what became of every row that the baseline has too.
    pub(crate) fn print_difference(&self, baseline: &Self) {
        println!("\nCompared with the baseline: before, now, difference.\n");
        let mut table = vec![words(&[
            "proxy",
            "request",
            "instructions",
            "of other threads",
            "allocations",
            "bytes copied",
            "system calls",
        ])];
        for Row { target, request, counts } in &self.rows {
            let same = |row: &&Row| row.target == *target && row.request == *request;
            let Some(before) = baseline.rows.iter().find(same) else { continue };
            let change = |figure: fn(&Counts) -> f64, digits| {
                changed(figure(&before.counts), figure(counts), digits)
            };
            table.push(vec![
                target.clone(),
                request.clone(),
                change(|counts| counts.serving.instructions, 0),
                change(|counts| counts.others.instructions, 0),
                change(|counts| counts.serving.allocations, 2),
                change(|counts| counts.bytes_copied, 0),
                change(|counts| counts.serving.all_system_calls(), 2),
            ]);
        }
        print_table(&table);
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn prefixed(prefix: &str, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{prefix}{text}") }
}

/// The figure of the thread that serves, and that of the others where it is not nothing.
fn with_others(serving: f64, others: f64, digits: usize) -> String {
    let nothing = format!("{:.digits$}", 0.0);
    let others = format!("{others:.digits$}");
    let others = if others.trim_start_matches('-') == nothing { String::new() } else { others };
    format!("{serving:.digits$}") + &prefixed(" + ", &others)
}

/// System calls by name, the most frequent first; what is less than one in two hundred is left out.
fn which(threads: &Threads) -> String {
    let mut calls: Vec<_> =
        threads.system_calls.iter().filter(|(_, count)| **count >= 0.005).collect();
    calls.sort_by(|one, other| other.1.total_cmp(one.1));
    let calls: Vec<_> = calls.iter().map(|(name, count)| format!("{count:.2} {name}")).collect();
    calls.join(", ")
}

fn changed(before: f64, now: f64, digits: usize) -> String {
    let percent = (now - before) / before * 100.0;
    // Nothing before: no percentage of it says anything.
    let percent = if percent.is_finite() { format!(" ({percent:+.2} %)") } else { String::new() };
    format!("{before:.digits$} -> {now:.digits$}{percent}")
}

/// Columns as wide as they need to be.
fn print_table(lines: &[Vec<String>]) {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max();
    let widths: Vec<usize> = (0..columns).filter_map(width).collect();
    for (number, line) in lines.iter().enumerate() {
        let cells = line.iter().zip(&widths).map(|(cell, &width)| format!("| {cell:<width$} "));
        println!("{}|", cells.collect::<String>());
        if number == 0 {
            let rules = widths.iter().map(|width| format!("|{}", "-".repeat(width + 2)));
            println!("{}|", rules.collect::<String>());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_other_threads_add_is_shown_where_it_is_something() {
        assert_eq!(with_others(26_600.2, 0.3, 0), "26600");
        assert_eq!(with_others(26_600.2, -0.3, 0), "26600");
        assert_eq!(with_others(77_400.0, 15_100.0, 0), "77400 + 15100");
    }

    #[test]
    fn a_difference_says_how_much_of_what_was() {
        assert_eq!(changed(200.0, 150.0, 0), "200 -> 150 (-25.00 %)");
        assert_eq!(changed(0.0, 2.0, 1), "0.0 -> 2.0");
    }
}
