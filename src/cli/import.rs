//! `guarita user import`

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::cli::command::CONFIG;
use crate::cli::command::{CommandError, fault, say};
use guarita_auth::account::Accounts;
use guarita_auth::account::import::{Format, MAX_FILE, read};
use guarita_core::time;

/// `guarita user import`
#[derive(Debug, clap::Args)]
pub(super) struct ImportArguments {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    pub(super) config: PathBuf,
    /// The format of the file.
    #[arg(long)]
    format: ImportFormat,
    /// Check the whole file and import nothing.
    #[arg(long)]
    dry_run: bool,
    /// The file, or "-" for standard input; at most 64 MiB and 50,000 rows.
    file: PathBuf,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum ImportFormat {
    /// Comma-separated, with a header line that names the columns.
    Csv,
    /// One JSON object per line.
    Jsonl,
}

/// Imports all accounts of the file, or none and prints every invalid row.
pub(super) async fn import(
    accounts: &Accounts,
    arguments: &ImportArguments,
) -> Result<(), CommandError> {
    let format = match arguments.format {
        ImportFormat::Csv => Format::Csv,
        ImportFormat::Jsonl => Format::JsonLines,
    };
    let bytes = bytes(&arguments.file)?;
    let rows = read(format, &bytes);
    let report = accounts.import(rows, arguments.dry_run, time::now()).await.map_err(fault)?;
    if report.bad.is_empty() {
        let done = if arguments.dry_run { "would be imported" } else { "imported" };
        return say(&format!("{} users {done}", report.accounts));
    }
    let mut output = io::stderr().lock();
    for bad in &report.bad {
        writeln!(output, "line {}: {}: {}", bad.line, bad.column, bad.reason).map_err(fault)?;
    }
    Err(CommandError::Refused(format!("nothing was imported: {} problems", report.bad.len())))
}

fn bytes(file: &Path) -> Result<Vec<u8>, CommandError> {
    let mut bytes = Vec::new();
    let most = MAX_FILE + 1;
    let read = if file == Path::new("-") {
        io::stdin().lock().take(most).read_to_end(&mut bytes)
    } else {
        File::open(file).and_then(|file| file.take(most).read_to_end(&mut bytes))
    };
    read.map_err(|error| CommandError::Fault(format!("{}: {error}", file.display())))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_FILE {
        return Err(CommandError::Refused("the file is larger than 64 MiB".to_owned()));
    }
    Ok(bytes)
}
