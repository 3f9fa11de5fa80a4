//! `guarita completions SHELL`

use std::process::ExitCode;

use clap::CommandFactory as _;

/// Print a completion script.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// bash, elvish, fish, powershell or zsh
    shell: clap_complete::Shell,
}

/// Runs the verb.
pub fn run(arguments: Arguments) -> ExitCode {
    let mut command = super::verb::Command::command();
    clap_complete::generate(arguments.shell, &mut command, "guarita", &mut std::io::stdout());
    ExitCode::SUCCESS
}
