//! `guarita store copy`

use std::process::ExitCode;
use std::time::Duration;

use super::migrate::{Failure, fault, finish, say};
use crate::adapters::store::{CopyFault, Probed, Settings, Store};
use crate::model::Secret;

/// `guarita store`
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Copy every row of a database into another, which must be empty, and compare the counts. Stop
    /// the gateways first: rows that are written meanwhile are not copied.
    Copy {
        /// The source, as in store.database: sqlite:PATH or postgres://USER:PASSWORD@HOST/DATABASE
        #[arg(long, value_name = "URL", value_parser = parse)]
        from: Settings,
        /// The target; created if it is missing.
        #[arg(long, value_name = "URL", value_parser = parse)]
        to: Settings,
    },
}

#[expect(clippy::unnecessary_wraps, reason = "clap asks for a result")]
fn parse(text: &str) -> Result<Settings, std::convert::Infallible> {
    Ok(Settings { database: Secret::new(text), wait: Duration::ZERO })
}

/// Runs the command. Exit code 1 if nothing was copied, 2 if the copy is incomplete.
pub fn run(arguments: Arguments) -> ExitCode {
    let Verb::Copy { from, to } = arguments.verb;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    finish(runtime.map_err(fault).and_then(|runtime| runtime.block_on(copy(&from, &to))))
}

async fn copy(from: &Settings, to: &Settings) -> Result<(), Failure> {
    match Store::probe(from).await.map_err(fault)? {
        Probed::Ready(_) => {}
        Probed::Missing => {
            return Err(Failure::Refused("the source database does not exist".to_owned()));
        }
        Probed::Outdated => {
            let what =
                "the source database has the schema of another version: run guarita migrate first";
            return Err(Failure::Refused(what.to_owned()));
        }
    }
    let source = Store::open(from).await.map_err(fault)?;
    let target = Store::open(to).await.map_err(fault)?;
    let copied = source.copy_into(&target).await;
    source.close().await;
    target.close().await;
    let copied = copied.map_err(|why| match why {
        CopyFault::NotEmpty(_) => Failure::Refused(why.to_string()),
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
        Arguments::augment_args(clap::Command::new("store")).debug_assert();
    }
}
