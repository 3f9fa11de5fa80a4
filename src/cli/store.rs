//! `guarita store copy`

use std::process::ExitCode;
use std::time::Duration;

use crate::cli::command::{CommandError, fault, finish, say};
use guarita_core::Secret;
use guarita_store::{CopyFault, SchemaStatus, Store, StoreSettings};

/// `guarita store`
#[derive(Debug, clap::Args)]
pub struct StoreArgs {
    #[command(subcommand)]
    verb: StoreCommand,
}

#[derive(Debug, clap::Subcommand)]
enum StoreCommand {
    /// Copy every row of a database into another, which must be empty, and compare the counts.
    ///
    /// Stop the gateways first: rows that are written meanwhile are not copied.
    Copy {
        /// The source, as in store.database: sqlite:PATH or postgres://USER:PASSWORD@HOST/DATABASE
        #[arg(long, value_name = "URL", value_parser = parse)]
        from: StoreSettings,
        /// The target; created if it is missing.
        #[arg(long, value_name = "URL", value_parser = parse)]
        to: StoreSettings,
    },
}

#[expect(clippy::unnecessary_wraps, reason = "clap asks for a result")]
fn parse(text: &str) -> Result<StoreSettings, std::convert::Infallible> {
    Ok(StoreSettings { database: Secret::new(text), wait: Duration::ZERO })
}

/// Runs the command. Exit code 1 if nothing was copied, 2 if the copy is incomplete.
pub fn run(arguments: StoreArgs) -> ExitCode {
    let StoreCommand::Copy { from, to } = arguments.verb;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    finish(runtime.map_err(fault).and_then(|runtime| runtime.block_on(copy(&from, &to))))
}

async fn copy(from: &StoreSettings, to: &StoreSettings) -> Result<(), CommandError> {
    match Store::probe(from).await.map_err(fault)? {
        SchemaStatus::Ready(_) => {}
        SchemaStatus::Missing => {
            return Err(CommandError::Refused("the source database does not exist".to_owned()));
        }
        SchemaStatus::Outdated => {
            let what =
                "the source database has the schema of another version: run guarita migrate first";
            return Err(CommandError::Refused(what.to_owned()));
        }
    }
    let source = Store::open(from).await.map_err(fault)?;
    let target = Store::open(to).await.map_err(fault)?;
    let copied = source.copy_into(&target).await;
    source.close().await;
    target.close().await;
    let copied = copied.map_err(|why| match why {
        CopyFault::NotEmpty(_) => CommandError::Refused(why.to_string()),
        CopyFault::Differs { .. } | CopyFault::Unknown(_) | CopyFault::Store(_) => fault(why),
    })?;
    for table in &copied {
        say(&format!("{:>10}  {}", table.rows, table.table))?;
    }
    let rows: i64 = copied.iter().map(|table| table.rows).sum();
    say(&format!("copied {rows} rows of {} tables; the counts match", copied.len()))
}

#[cfg(test)]
mod tests {
    use clap::Args as _;

    use super::*;

    #[test]
    fn the_arguments_hold_together() {
        StoreArgs::augment_args(clap::Command::new("store")).debug_assert();
    }
}
