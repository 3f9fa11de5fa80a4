//! `guarita check`: finds everything that would fail a start or a reload; changes nothing.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::cli::command::CONFIG;
use crate::config;
use crate::config::{Config, Problems};
use crate::reload::compile;

/// The exit code for an invalid configuration.
const UNUSABLE: u8 = 2;

/// Validate a configuration file, its secrets, certificates and routes.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    pub config: PathBuf,
}

/// Runs the command. Exit code 0 if the configuration is valid, else 2.
pub fn run(arguments: CheckArgs) -> ExitCode {
    let loaded = config::load(&arguments.config);
    report(loaded, &mut std::io::stdout().lock(), &mut std::io::stderr().lock())
}

fn report(
    loaded: Result<Config, Problems>,
    output: &mut impl Write,
    errors: &mut impl Write,
) -> ExitCode {
    let mut warnings = loaded.as_ref().map(|config| config.warnings.clone()).unwrap_or_default();
    let without_mail = loaded.as_ref().ok().and_then(Config::without_mail);
    warnings.extend(without_mail.map(str::to_owned));
    let checked = loaded.and_then(|config| compile::check(&config).map(|()| config));
    // If standard error is closed, the exit code still tells the result.
    for warning in warnings {
        let _ = writeln!(errors, "warning: {warning}");
    }
    match checked {
        Ok(config) => {
            let _ = writeln!(
                output,
                "configuration ok: {}, {}, {}",
                count(config.listeners.len(), "listener"),
                count(config.routes.len(), "route"),
                count(config.upstreams.len(), "upstream"),
            );
            ExitCode::SUCCESS
        }
        Err(Problems(problems)) => {
            for problem in problems {
                let _ = writeln!(errors, "{problem}");
            }
            ExitCode::from(UNUSABLE)
        }
    }
}

fn count(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load_with;
    use guarita_core::Timestamp;

    fn checked(text: &str) -> (ExitCode, String, String, bool) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("guarita.toml");
        let data = directory.path().join("data");
        let text = format!("data_dir = {data:?}\n{text}");
        std::fs::write(&file, text).unwrap();
        let now = Timestamp::from_seconds(1_800_000_000);
        let loaded = load_with(&file, &Default::default(), now).result;
        let (mut output, mut errors) = (Vec::new(), Vec::new());
        let code = report(loaded, &mut output, &mut errors);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (code, text(output), text(errors), data.exists())
    }

    #[test]
    fn a_usable_configuration_is_counted_and_nothing_is_made() {
        let (code, output, errors, made) = checked(
            "[[listeners]]\naddress = \"127.0.0.1:8080\"\n[[upstreams]]\nname = \"a\"\n\
             servers = [\"http://127.0.0.1:9000\"]\n[[routes]]\npath = \"/a\"\nupstream = \"a\"\n\
             [[routes]]\npath = \"/b\"\nupstream = \"a\"\n",
        );
        assert_eq!(output, "configuration ok: 1 listener, 2 routes, 1 upstream\n");
        assert_eq!((code, made), (ExitCode::SUCCESS, false));
        assert_eq!(errors.lines().count(), 1, "{errors}");
        assert!(errors.contains("mail.server is not set"), "{errors}");
    }

    #[test]
    fn an_unusable_one_is_told_line_by_line_with_exit_code_2() {
        let (code, output, errors, made) = checked("mod = 1\n");
        assert_eq!(code, ExitCode::from(2));
        assert_eq!((output.as_str(), made), ("", false));
        assert!(errors.contains("guarita.toml:2: mod: is not a known key"), "{errors}");
        assert!(errors.contains("guarita.toml: listeners: is missing"), "{errors}");
    }
}
