//! The problems of a configuration, each with its location.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// Maximum number of reported problems.
const MAX_PROBLEMS: usize = 1000;

/// All problems of a configuration: one line each with file, line, key and a hint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<String>);

impl std::fmt::Display for Problems {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Problems {}

/// The location of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ConfigLocation {
    /// In the file, on this line (from 1).
    Line(usize),
    /// In this environment variable.
    Variable(String),
}

/// The locations of keys, by path (`routes[1].upstream`).
#[derive(Debug, Default)]
pub(super) struct ConfigLocations(HashMap<String, ConfigLocation>);

impl ConfigLocations {
    /// Records a key of the file.
    pub(super) fn insert(&mut self, path: String, line: usize) {
        self.0.insert(path, ConfigLocation::Line(line));
    }

    /// Records that a variable set the key and everything below it.
    pub(super) fn override_with(&mut self, path: &str, variable: &str) {
        self.0.retain(|known, _| !is_at_or_below(known, path));
        self.0.insert(path.to_owned(), ConfigLocation::Variable(variable.to_owned()));
    }

    /// The location of the key, or of the closest enclosing table.
    pub(super) fn find(&self, path: &str) -> Option<&ConfigLocation> {
        let mut path = path;
        loop {
            if let Some(place) = self.0.get(path) {
                return Some(place);
            }
            path = parent(path)?;
        }
    }
}

fn parent(path: &str) -> Option<&str> {
    path.rfind(['.', '[']).and_then(|end| path.get(..end))
}

fn is_at_or_below(path: &str, ancestor: &str) -> bool {
    path.strip_prefix(ancestor).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// Collects problems and warnings while a configuration is read.
#[derive(Debug)]
pub(super) struct ConfigReport {
    file: PathBuf,
    pub(super) places: ConfigLocations,
    problems: Vec<(usize, String)>,
    faulty: HashSet<String>,
    warnings: Vec<String>,
}

impl ConfigReport {
    /// An empty report of the file.
    pub(super) fn new(file: &Path) -> Self {
        Self {
            file: file.to_owned(),
            places: ConfigLocations::default(),
            problems: Vec::new(),
            faulty: HashSet::new(),
            warnings: Vec::new(),
        }
    }

    /// Reports that the key at `path` is invalid.
    pub(super) fn problem(&mut self, path: &str, what: impl std::fmt::Display) {
        self.mark(path);
        let line = self.line(path);
        self.push(line, format!("{}: {what}", self.place(path)));
    }

    /// Marks the key at `path` as invalid without reporting it again.
    pub(super) fn mark(&mut self, path: &str) {
        if self.faulty.len() < MAX_PROBLEMS {
            self.faulty.insert(path.to_owned());
        }
    }

    /// Whether a problem with exactly this key was reported.
    pub(super) fn is_marked(&self, path: &str) -> bool {
        self.faulty.contains(path)
    }

    /// Reports that the key at `path` is invalid, with a hint.
    pub(super) fn problem_with_hint(
        &mut self,
        path: &str,
        what: impl std::fmt::Display,
        hint: impl std::fmt::Display,
    ) {
        self.problem(path, format_args!("{what} ({hint})"));
    }

    /// Reports a problem on a line.
    pub(super) fn problem_on_line(&mut self, line: usize, what: impl std::fmt::Display) {
        self.push(line, format!("{}:{line}: {what}", self.file.display()));
    }

    /// Reports a problem of the whole file or of a variable.
    pub(super) fn problem_with(&mut self, origin: &str, what: impl std::fmt::Display) {
        self.push(0, format!("{origin}: {what}"));
    }

    /// Adds a warning.
    pub(super) fn warning(&mut self, path: &str, what: impl std::fmt::Display) {
        if self.warnings.len() < MAX_PROBLEMS {
            self.warnings.push(format!("{}: {what}", self.place(path)));
        }
    }

    /// Whether a problem with this key, or with an enclosing or nested one, was reported.
    pub(super) fn is_faulty(&self, path: &str) -> bool {
        self.faulty
            .iter()
            .any(|faulty| is_at_or_below(faulty, path) || is_at_or_below(path, faulty))
    }

    /// `file:line: key`, or `variable: key`.
    pub(super) fn place(&self, path: &str) -> String {
        match self.places.find(path) {
            Some(ConfigLocation::Line(line)) => format!("{}:{line}: {path}", self.file.display()),
            Some(ConfigLocation::Variable(variable)) => format!("environment {variable}: {path}"),
            None => format!("{}: {path}", self.file.display()),
        }
    }

    /// The line of the key; 0 if it is not in the file.
    pub(super) fn line(&self, path: &str) -> usize {
        match self.places.find(path) {
            Some(ConfigLocation::Line(line)) => *line,
            Some(ConfigLocation::Variable(_)) | None => 0,
        }
    }

    /// The warnings, or the problems in the order of the file.
    pub(super) fn finish(mut self) -> Result<Vec<String>, Problems> {
        if self.problems.is_empty() {
            return Ok(self.warnings);
        }
        self.problems.sort_by_key(|(line, _)| *line);
        Err(Problems(self.problems.into_iter().map(|(_, text)| text).collect()))
    }

    fn push(&mut self, line: usize, text: String) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push((line, text));
        }
    }
}

/// The most similar candidate, of which at most a third of the letters differ.
pub(super) fn closest<'a>(
    written: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let bound = (written.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .filter(|candidate| candidate.len().abs_diff(written.len()) <= bound)
        .map(|candidate| (distance(written, candidate), candidate))
        .filter(|(distance, _)| *distance <= bound)
        .min()
        .map(|(_, candidate)| candidate)
}

/// The edit distance with transpositions (optimal string alignment).
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<_>, Vec<_>) = (from.chars().collect(), to.chars().collect());
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (row, letter) in from.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, other) in to.iter().enumerate() {
            let at = |line: &[usize], position: usize| line.get(position).copied().unwrap_or(0);
            let mut cost = (at(&last, column) + usize::from(letter != other))
                .min(at(&last, column + 1) + 1)
                .min(at(&current, column) + 1);
            let swapped = row > 0
                && column > 0
                && from.get(row - 1) == Some(other)
                && to.get(column - 1) == Some(letter);
            if swapped {
                cost = cost.min(at(&before_last, column - 1) + 1);
            }
            current.push(cost);
        }
        before_last = std::mem::replace(&mut last, current);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_candidate_is_what_a_typing_error_meant() {
        let keys = ["upstream", "path", "methods", "hosts"];
        assert_eq!(closest("upsteram", keys), Some("upstream"));
        assert_eq!(closest("method", keys), Some("methods"));
        assert_eq!(closest("pth", keys), Some("path"));
        assert_eq!(closest("timeout", keys), None);
    }

    #[test]
    fn a_place_is_the_closest_one_known_and_variables_win() {
        let mut places = ConfigLocations::default();
        places.insert("routes".to_owned(), 3);
        places.insert("routes[1]".to_owned(), 9);
        assert_eq!(places.find("routes[1].upstream"), Some(&ConfigLocation::Line(9)));
        assert_eq!(places.find("routes[0].upstream"), Some(&ConfigLocation::Line(3)));
        places.override_with("routes", "GUARITA_ROUTES");
        let variable = ConfigLocation::Variable("GUARITA_ROUTES".to_owned());
        assert_eq!(places.find("routes[1].upstream"), Some(&variable));
    }

    #[test]
    fn problems_come_in_the_order_of_the_file_and_are_bounded() {
        let mut report = ConfigReport::new(Path::new("a.toml"));
        report.problem_on_line(9, "late");
        report.problem_on_line(2, "early");
        for _ in 0..2 * MAX_PROBLEMS {
            report.problem("mode", "is wrong");
        }
        let problems = report.finish().unwrap_err().0;
        assert_eq!(problems.len(), MAX_PROBLEMS);
        assert_eq!(problems[MAX_PROBLEMS - 1], "a.toml:9: late");
    }
}
