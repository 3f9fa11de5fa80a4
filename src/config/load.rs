//! Loads the configuration from the file and the environment, or reports all problems.

use std::path::Path;

use serde::Deserialize as _;
use toml::Table;

use super::environment;
use super::report::{ConfigReport, Problems};
use super::resolve::{self, ConfigResolver};
use super::values::Files;
use super::written::RawConfig;
use super::{Config, document, shape};
use crate::config::environment::variables::Variables;
use guarita_core::{Timestamp, time};

/// The result of loading, with the files.
#[derive(Debug)]
pub struct Loaded {
    /// All files that were read or requested, also if loading failed.
    pub files: Files,
    /// The configuration, or all problems.
    pub result: Result<Config, Problems>,
}

/// Loads the configuration from the file and the environment.
pub fn load(file: &Path) -> Result<Config, Problems> {
    load_with(file, &environment::variables(), time::now()).result
}

/// Loads the file with the variables of this process; the result has the files also if loading fails.
pub(crate) fn load_and_watch(file: &Path) -> Loaded {
    load_with(file, &environment::variables(), time::now())
}

/// Loads the file with these environment variables.
pub fn load_with(file: &Path, variables: &Variables, now: Timestamp) -> Loaded {
    let mut report = ConfigReport::new(file);
    let mut reader = ConfigResolver::new(file, now, &mut report);
    let config = read(file, variables, &mut reader);
    let files = reader.finish();
    let result = report.finish().and_then(|warnings| match config {
        Some(config) => Ok(Config { warnings, files: files.clone(), ..config }),
        // Every step that gives up tells why; this line is for the one that would forget to.
        None => Err(Problems(vec![format!("{}: is not valid", file.display())])),
    });
    Loaded { files, result }
}

fn read(file: &Path, variables: &Variables, reader: &mut ConfigResolver<'_>) -> Option<Config> {
    let text = reader.configuration(file)?;
    let report = &mut *reader.report;
    let mut table: Table = document::parse(&text, report)?;
    environment::apply(variables, &mut table, report);
    environment::apply_inherited(variables, &mut table, report);
    shape::check(&mut table, report);
    let written = match RawConfig::deserialize(toml::Value::Table(table)) {
        Ok(written) => written,
        Err(error) => {
            report.problem_with(&file.display().to_string(), error.message());
            return None;
        }
    };
    Some(resolve::resolve(&written, file, reader))
}

#[cfg(test)]
mod tests;
