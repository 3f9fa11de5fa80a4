//! Every event is emitted once; its log line, metric and audit line are compared with `docs/operations.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use super::log_name::LogName;
use super::*;
use crate::audit::{Audit, Name, RequestLine};
use crate::metrics::Metrics;
use guarita_core::{Code, SessionId, Timestamp, UserId};
use samples::*;

mod samples;

const OPERATIONS: &str = include_str!("../../../../docs/operations.md");
const NOW: Timestamp = Timestamp::from_seconds(1_795_262_400);
const KEPT: Duration = Duration::from_secs(180 * 86_400);

fn configuration() -> Vec<Sample> {
    vec![
        Sample::new(|telemetry| {
            ReloadSucceeded { generation: 2, reason: "asked", routes: 1 }.emit(telemetry, NOW);
        })
        .audit("config.reload.succeeded")
        .log(&["INFO config.reload.succeeded"])
        .metrics(&[
            "guarita_config_reload_timestamp_seconds",
            r#"guarita_config_reloads_total{result="succeeded"}"#,
        ]),
        // The problem, and that it is an error in the audit file.
        Sample::new(|telemetry| {
            let problems = &["guarita.toml:1: wrong".to_owned()];
            ReloadFailed { problems, reason: "asked", generation: 1 }.emit(telemetry, NOW);
        })
        .audit("config.reload.failed")
        .log(&["ERROR config.reload.failed", "ERROR config.reload.failed"])
        .metrics(&[
            "guarita_config_reload_success",
            r#"guarita_config_reloads_total{result="failed"}"#,
        ]),
        Sample::new(|_| RestartNeeded { key: "listen" }.emit())
            .log(&["WARN config.reload.restart_needed"]),
        Sample::new(|_| ConfigWarning { warning: "look" }.emit()).log(&["WARN config.warning"]),
        Sample::new(|_| ConfigWatchFailed { error: "no watch" }.emit())
            .log(&["WARN config.watch.failed"]),
        Sample::new(|_| MailMissing { warning: "no mail" }.emit()).log(&["WARN mail.none"]),
    ]
}

fn mails() -> Vec<Sample> {
    let failed =
        |given_up| MailFailed { mail: "m-1", kind: "reset", attempts: 1, error: "451", given_up };
    vec![
        Sample::new(|telemetry| {
            MailSent { mail: "m-1", kind: "reset", attempts: 1 }.emit(telemetry.metrics());
        })
        .metrics(&[r#"guarita_mails_total{result="sent"}"#]),
        Sample::new(move |telemetry| failed(false).emit(telemetry.metrics()))
            .metrics(&[r#"guarita_mails_total{result="failed"}"#]),
        Sample::new(move |telemetry| failed(true).emit(telemetry.metrics()))
            .metrics(&[r#"guarita_mails_total{result="given_up"}"#]),
        Sample::new(|telemetry| MailExpired.emit(telemetry.metrics()))
            .metrics(&[r#"guarita_mails_total{result="expired"}"#]),
    ]
}

fn keys() -> Vec<Sample> {
    vec![
        Sample::new(|_| KeysMade { purpose: "token", count: 1 }.emit()).log(&["INFO keys.made"]),
        Sample::new(|_| KeyAnnounced::Algorithm("EdDSA").emit()).log(&["INFO keys.announced"]),
        Sample::new(|_| KeyAnnounced::Rotated { id: "k", signs_from: None }.emit())
            .log(&["INFO keys.announced"]),
        Sample::new(|telemetry| KeysTaken { generation: 2 }.emit(telemetry, NOW))
            .audit("keys.changed")
            .log(&["INFO keys.taken"]),
        Sample::new(|_| KeysRead.emit()).log(&["INFO keys.read"]),
        Sample::new(|_| KeysUnread { error: "closed" }.emit()).log(&["ERROR keys.unread"]),
        Sample::new(|_| KeysRefused { problems: Some("wrong") }.emit())
            .log(&["ERROR keys.refused"]),
        Sample::new(|_| KeysRefused::<&str> { problems: None }.emit()).log(&["ERROR keys.refused"]),
        Sample::new(|_| KeyAlgorithmKept { why: "too many" }.emit()).log(&["WARN keys.algorithm"]),
        Sample::new(|_| KeyRotationFailed { error: "closed" }.emit())
            .log(&["ERROR keys.rotation_failed"]),
        Sample::new(|_| ProviderKeysChanged { provider: "corporate", keys: 2 }.emit())
            .log(&["INFO provider.keys.changed"]),
        Sample::new(|_| ProviderKeysFailed { provider: "corporate", error: "404" }.emit())
            .log(&["WARN provider.keys.failed"]),
        Sample::new(|_| ProviderMetadataFailed { provider: "corporate", error: "404" }.emit())
            .log(&["WARN provider.metadata.failed"]),
    ]
}

fn server() -> Vec<Sample> {
    vec![
        Sample::new(|_| {
            let address = ([127, 0, 0, 1], 8080).into();
            Listening { listener: "http", address, inherited: false }.emit();
        })
        .log(&["INFO listening"]),
        Sample::new(|telemetry| ServerStarted.emit(telemetry, NOW))
            .audit("server.started")
            .log(&["INFO server.started"]),
        Sample::new(|_| ServerDraining.emit()).log(&["INFO server.draining"]),
        Sample::new(|_| ServerClosing.emit()).log(&["INFO server.closing"]),
        Sample::new(|telemetry| ServerStopped.emit(telemetry, NOW)).audit("server.stopped"),
        Sample::new(|_| ClockWrong { offset: 60 }.emit()).log(&["ERROR clock.wrong"]),
        Sample::new(|_| ClockRight { offset: 0 }.emit()).log(&["INFO clock.right"]),
        Sample::new(|_| EphemeralUp { backend: "Redis" }.emit()).log(&["INFO ephemeral.up"]),
        Sample::new(|_| EphemeralDown { backend: "Redis", reason: "refused" }.emit())
            .log(&["WARN ephemeral.down"]),
        Sample::new(|_| EphemeralLate.emit()).log(&["WARN ephemeral.late"]),
        Sample::new(|_| OnUnknownServing { within: KEPT }.emit()).log(&["WARN on_unknown.serving"]),
        Sample::new(|telemetry| command(telemetry, true)).audit("admin.command.succeeded"),
        Sample::new(|telemetry| command(telemetry, false)).audit("admin.command.failed"),
    ]
}

fn command(telemetry: &Telemetry, succeeded: bool) {
    CommandEnded { command: "user add", subject: Some("alice"), succeeded }
        .emit(telemetry.audit(), NOW);
}

fn samples() -> Vec<Sample> {
    [
        logins(),
        refreshes(),
        second_factors(),
        accounts(),
        sessions(),
        forwarded(),
        configuration(),
        mails(),
        keys(),
        server(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The level and the `event` of the lines that this thread logs; those without an `event` are left out.
fn logged(work: impl FnOnce()) -> Vec<String> {
    let captured = Captured::default();
    let writer = captured.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, work);
    let bytes = captured.0.lock().unwrap();
    let lines = str::from_utf8(&bytes).unwrap().lines();
    let lines = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines
        .filter_map(|line| Some(format!("{} {}", line["level"].as_str()?, line["event"].as_str()?)))
        .collect()
}

/// The `event` of the lines in the audit files.
fn audited(directory: &Path) -> Vec<String> {
    let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|it| it == "jsonl"));
    let text: String = files.map(|path| fs::read_to_string(path).unwrap()).collect();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.map(|line| line["event"].as_str().unwrap().to_owned()).collect()
}

/// The series and their values.
fn series(metrics: &Metrics) -> BTreeMap<String, String> {
    let text = String::from_utf8(metrics.render()).unwrap();
    let lines = text.lines().filter_map(|line| line.rsplit_once(' '));
    lines
        .filter(|(name, _)| name.starts_with("guarita_"))
        .filter(|(name, _)| !name.contains("_seconds_bucket{") && !name.contains("_seconds_sum{"))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[test]
fn an_event_writes_its_log_line_its_metric_and_its_audit_line() {
    for Sample { audit, log, metrics, emit } in samples() {
        let directory = tempfile::tempdir().unwrap();
        let files = Audit::open(directory.path(), KEPT).unwrap();
        let telemetry = Telemetry::new(Arc::new(Metrics::new().unwrap()), files);
        // The series of a route exist while it is configured.
        let configured = telemetry.metrics().route("/orders");
        let before = series(telemetry.metrics());
        let lines = logged(|| emit(&telemetry));
        let after = series(telemetry.metrics());
        drop(configured);
        telemetry.audit().close();
        let mut written = audited(directory.path());
        written.retain(|name| !name.starts_with("audit."));
        let moved = after.iter().filter(|(name, value)| {
            before.get(*name).map_or("0", String::as_str) != value.as_str()
        });
        let moved: Vec<_> = moved.map(|(name, _)| name.as_str()).collect();
        let what = format!("{audit:?} {log:?} {metrics:?}");
        assert_eq!(written, audit.into_iter().collect::<Vec<_>>(), "{what}");
        assert_eq!(lines, log, "{what}");
        assert_eq!(moved, metrics, "{what}");
        assert!(audit.is_some() || !log.is_empty() || !metrics.is_empty());
    }
}

/// What the audit files write about themselves, when a gateway goes on after one that did not stop cleanly.
fn chain() -> (Vec<String>, Vec<String>) {
    let directory = tempfile::tempdir().unwrap();
    let audit = Audit::open(directory.path(), KEPT).unwrap();
    audit.record(&crate::audit::Event::new(Name::Started), NOW);
    audit.close();
    let lines = logged(|| Audit::open(directory.path(), KEPT).unwrap().close());
    let mut written = audited(directory.path());
    written.retain(|name| name.starts_with("audit."));
    (written, lines)
}

#[test]
fn the_audit_files_write_their_own_events() {
    let (written, lines) = chain();
    assert_eq!(written, ["audit.continued", "audit.seal", "audit.resumed", "audit.seal"]);
    assert_eq!(lines, ["WARN audit.resumed", "INFO audit.seal"]);
}

/// The names in the first column of the table in a section.
fn documented(section: &str) -> BTreeSet<String> {
    let (_, text) = OPERATIONS.split_once(&format!("\n## {section}\n")).unwrap();
    let text = text.split("\n## ").next().unwrap();
    let cells = text.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    let names = cells.flat_map(|cell| cell.split(['`', ',', ' ']));
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn owned<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    names.into_iter().map(str::to_owned).collect()
}

#[test]
fn the_documented_audit_events_are_those_that_are_written() {
    let mut written: BTreeSet<_> = chain().0.into_iter().collect();
    written.extend(owned(samples().iter().filter_map(|sample| sample.audit)));
    let mut named = owned(Name::ALL.iter().map(|name| name.as_str()));
    named.extend(owned(["request", "audit.continued", "audit.seal"]));
    assert_eq!(written, named, "an event has no sample");
    assert_eq!(written, documented("Audit file"));
}

#[test]
fn the_documented_log_events_are_those_that_are_logged() {
    let lines = samples().into_iter().flat_map(|sample| sample.log);
    let lines: Vec<_> = lines.map(|line| (*line).to_owned()).chain(chain().1).collect();
    let logged = owned(lines.iter().filter_map(|line| line.split(' ').nth(1)));
    let mut named = owned(LogName::ALL.iter().map(|name| name.as_str()));
    let errors = Name::ALL.iter().filter(|name| name.is_error());
    named.extend(owned(errors.map(|name| name.as_str())));
    assert_eq!(logged, named, "an event has no sample");
    assert_eq!(logged, documented("Log"));
}
