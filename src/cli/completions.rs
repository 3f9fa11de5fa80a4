//! `guarita completions SHELL`

use std::process::ExitCode;

/// Print a completion script for a shell.
#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// The shell: bash, elvish, fish, powershell or zsh.
    shell: clap_complete::Shell,
}

/// Prints the script for `command`.
pub fn run(arguments: CompletionsArgs, mut command: clap::Command) -> ExitCode {
    clap_complete::generate(arguments.shell, &mut command, "guarita", &mut std::io::stdout());
    ExitCode::SUCCESS
}
