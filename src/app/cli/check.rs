//! x
/// x
#[derive(Debug, clap::Args)]
pub struct Arguments;
/// x
pub fn run(_: Arguments) -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
