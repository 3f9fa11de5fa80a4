//! `guarita completions SHELL`

use std::process::ExitCode;

use clap::CommandFactory as _;

/// Print a completion script for a shell.
#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// The shell: bash, elvish, fish, powershell or zsh.
    shell: clap_complete::Shell,
}

/// Runs the command.
pub fn run(arguments: CompletionsArgs) -> ExitCode {
    let mut command = super::verb::Command::command();
    clap_complete::generate(arguments.shell, &mut command, "guarita", &mut std::io::stdout());
    ExitCode::SUCCESS
}
