//! The actor with its watcher, from files on disk to the current snapshot.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::{Actor, Handle, Reason, Status, compile, watch};
use crate::config;
use crate::config::Config;
use guarita_auth::keys;
use guarita_proxy::snapshot::CurrentSnapshot;
use guarita_telemetry::{Audit, Metrics, Telemetry};

/// Longest wait for a condition.
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);

/// A configuration on disk, its picture, and the actor over both.
struct Gateway {
    directory: TempDir,
    live: Arc<CurrentSnapshot>,
    handle: Handle,
    source: tokio::sync::watch::Sender<keys::KeySource>,
    metrics: Arc<Metrics>,
}

impl Gateway {
    fn start(more: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        write(&directory, more);
        let config = load(&directory);
        let metrics = Arc::new(Metrics::new().unwrap());
        let audit = Audit::open(&config.audit.directory, config.audit.keep).unwrap();
        let source = keys::KeySource::Directory(config.data_dir.join("keys"));
        let live =
            Arc::new(CurrentSnapshot::new(compile(&config, None, &metrics, &source).unwrap()));
        let (source, told) = tokio::sync::watch::channel(source);
        let (actor, handle) = Actor::new(
            config,
            Arc::clone(&live),
            Telemetry::new(Arc::clone(&metrics), audit),
            told,
        );
        tokio::spawn(actor.run());
        Self { directory, live, handle, source, metrics }
    }

    fn write(&self, more: &str) {
        write(&self.directory, more);
    }

    fn metrics(&self) -> String {
        String::from_utf8(self.metrics.render()).unwrap()
    }

    async fn wait(&self, holds: impl FnMut(&Status) -> bool) -> Status {
        let mut status = self.handle.subscribe();
        let waiting = tokio::time::timeout(WAIT_TIMEOUT, status.wait_for(holds));
        waiting.await.unwrap().unwrap().clone()
    }
}

fn file(directory: &TempDir) -> PathBuf {
    directory.path().join("guarita.toml")
}

/// Writes the way editors do: a new file in the old one's place.
fn write(directory: &TempDir, more: &str) {
    let key = "0123456789abcdef0123456789abcdef";
    let text = format!(
        "data_dir = {:?}\nlisteners = [{{ address = \"127.0.0.1:1\" }}]\n\
         tokens = {{ algorithm = \"HS256\", signing_key = \"{key}\" }}\n{more}",
        directory.path().join("data")
    );
    let new = directory.path().join("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, file(directory)).unwrap();
}

fn load(directory: &TempDir) -> Config {
    config::load(&file(directory)).unwrap()
}

const UPSTREAM: &str = "[[upstreams]]\nname = \"a\"\nservers = [\"http://127.0.0.1:9000\"]\n";
const ROUTE: &str = "[[routes]]\npath = \"/a\"\nupstream = \"a\"\n";

#[tokio::test]
async fn a_change_is_applied_once_and_a_bad_one_leaves_the_old_in_force() {
    let gateway = Gateway::start("");
    assert_eq!(gateway.live.read().routes.iter().count(), 0);
    gateway.write(&format!("{UPSTREAM}{ROUTE}"));
    assert_eq!(gateway.handle.reload_now().await, Ok(2));
    assert_eq!(gateway.live.read().routes.iter().count(), 1);

    gateway.write(&format!("{UPSTREAM}{ROUTE}nonsense = 1\n"));
    let problems = gateway.handle.reload_now().await.unwrap_err();
    assert!(problems.0[0].contains(":10: routes[0].nonsense: "), "{problems}");
    let status = gateway.handle.status();
    assert_eq!((status.generation, status.succeeded, status.failures), (2, false, 1));
    assert_eq!(status.problems, problems.0);
    assert_eq!(gateway.live.read().generation, 2);
    assert_eq!(gateway.live.read().routes.iter().count(), 1);

    gateway.write(&format!("{UPSTREAM}{ROUTE}"));
    assert_eq!(gateway.handle.reload_now().await, Ok(3));
    let status = gateway.handle.status();
    assert!(status.succeeded && status.problems.is_empty() && status.failures == 1);
}

#[tokio::test]
async fn a_pool_lives_on_while_its_settings_stay() {
    let gateway = Gateway::start(&format!("{UPSTREAM}{ROUTE}"));
    let pool = || Arc::clone(&gateway.live.read().routes.iter().next().unwrap().upstream);
    let first = pool();
    gateway.write(&format!("{UPSTREAM}{ROUTE}timeout = \"5s\"\n"));
    gateway.handle.reload_now().await.unwrap();
    assert!(Arc::ptr_eq(&first, &pool()));
    gateway.write(&format!("{UPSTREAM}retries = 2\n{ROUTE}"));
    gateway.handle.reload_now().await.unwrap();
    assert!(!Arc::ptr_eq(&first, &pool()));
    assert_eq!(pool().settings().retries, 2);
}

#[tokio::test]
async fn overlapping_routes_are_told_with_both_lines() {
    let gateway = Gateway::start("");
    gateway.write(&format!("{UPSTREAM}{ROUTE}{ROUTE}"));
    let problems = gateway.handle.reload_now().await.unwrap_err();
    assert_eq!(problems.0.len(), 1, "{problems}");
    assert!(problems.0[0].contains("guarita.toml:10: routes[1]: "), "{problems}");
    assert!(problems.0[0].contains("routes[0] on line 7"), "{problems}");
}

#[tokio::test]
async fn what_needs_a_restart_keeps_its_running_value_and_the_rest_is_applied() {
    let gateway = Gateway::start("");
    gateway
        .write(&format!("{UPSTREAM}{ROUTE}[server]\nthreads = 1000\n[limits]\nheader_count = 7\n"));
    gateway.handle.reload_now().await.unwrap();
    assert_eq!(gateway.handle.status().restart_needed, ["server.threads"]);
    assert_eq!(gateway.live.read().limits.header_count, 7);
    assert_eq!(gateway.live.read().routes.iter().count(), 1);
    gateway.write("");
    gateway.handle.reload_now().await.unwrap();
    assert!(gateway.handle.status().restart_needed.is_empty());
}

#[test]
fn running_listeners_keep_their_address_and_get_new_certificates() {
    let directory = tempfile::tempdir().unwrap();
    write(&directory, "");
    let running = load(&directory);
    let mut next = running.clone();
    next.listeners[0].address = "127.0.0.1:2".parse().unwrap();
    next.mode = config::values::Mode::Off;
    next.tokens.issuer = "other".into();
    let kept = super::restart_only::keep(&running, &mut next);
    assert_eq!(kept.len(), 3, "{kept:?}");
    assert_eq!(next.listeners[0].address, running.listeners[0].address);
    assert_eq!(next.mode, running.mode);
    assert_eq!(next.tokens, running.tokens);
    let mut more = running.clone();
    more.listeners.insert(0, running.listeners[0].clone());
    more.listeners[0].address = "127.0.0.1:3".parse().unwrap();
    assert_eq!(super::restart_only::keep(&running, &mut more), ["listeners (an address)"]);
    assert_eq!(more.listeners.len(), 1);
}

#[tokio::test]
async fn a_changed_file_is_noticed_and_an_unchanged_one_is_not() {
    let gateway = Gateway::start("");
    tokio::spawn(watch::run(gateway.handle.clone()));
    gateway.write(&format!("{UPSTREAM}{ROUTE}"));
    gateway.wait(|status| status.generation == 2).await;
    // The same text again changes nothing, so the next change is the next generation.
    gateway.write(&format!("{UPSTREAM}{ROUTE}"));
    gateway.write("mode = 1\n");
    let status = gateway.wait(|status| !status.succeeded).await;
    assert_eq!((status.generation, status.failures), (2, 1));
    gateway.write("");
    let status = gateway.wait(|status| status.succeeded).await;
    assert_eq!(status.generation, 3);
}

#[tokio::test]
async fn a_change_that_was_read_already_is_not_read_again() {
    let gateway = Gateway::start("");
    gateway.write(&format!("{UPSTREAM}{ROUTE}"));
    assert_eq!(gateway.handle.reload_now().await, Ok(2));
    gateway.handle.trigger(Reason::FileChanged);
    // Told apart, so that they are not served as one.
    gateway.handle.trigger(Reason::FileChanged);
    gateway.write("");
    assert_eq!(gateway.handle.reload_now().await, Ok(3));
}

#[tokio::test]
async fn a_file_that_was_missing_is_noticed_when_it_comes() {
    let gateway = Gateway::start("");
    tokio::spawn(watch::run(gateway.handle.clone()));
    let secret = "[store]\ndatabase_file = \"database\"\n";
    gateway.write(secret);
    gateway.wait(|status| !status.succeeded).await;
    let database = format!("sqlite:{}", gateway.directory.path().join("data/guarita.db").display());
    std::fs::write(gateway.directory.path().join("database"), database).unwrap();
    gateway.wait(|status| status.succeeded).await;
}

#[tokio::test]
async fn many_requests_are_served_and_the_last_word_holds() {
    let gateway = Gateway::start("");
    for _ in 0..1000 {
        gateway.handle.trigger(Reason::Signal);
    }
    gateway.write(&format!("{UPSTREAM}{ROUTE}"));
    gateway.handle.reload_now().await.unwrap();
    assert_eq!(gateway.live.read().routes.iter().count(), 1);
}

#[tokio::test]
async fn other_keys_are_taken_though_the_queue_was_full_and_the_reload_is_refused() {
    let gateway = Gateway::start("");
    gateway.write("nonsense = 1\n");
    // Nothing is served before the first wait: the queue fills up.
    for _ in 0..200 {
        gateway.handle.trigger(Reason::Signal);
    }
    let directory = gateway.directory.path().join("other");
    gateway.source.send(keys::KeySource::Directory(directory)).unwrap();
    gateway.handle.trigger(Reason::KeysChanged);
    let status = gateway.wait(|status| status.failures > 0).await;
    assert_eq!((status.generation, status.succeeded), (2, false));
}

#[tokio::test]
async fn published_keys_are_kept_no_longer_than_the_shorter_announcement_allows() {
    for (more, caching) in [
        ("", "public, max-age=300"),
        ("assertion = { enabled = true }\n", "public, max-age=200"),
        ("assertion = { enabled = true, publish_ahead = \"1m\" }\n", "public, max-age=20"),
        ("assertion = { enabled = true, publish_ahead = \"0s\" }\n", "public, max-age=0"),
        ("assertion = { enabled = true, publish_ahead = \"1d\" }\n", "public, max-age=300"),
        ("assertion = { enabled = false, publish_ahead = \"1m\" }\n", "public, max-age=300"),
    ] {
        let gateway = Gateway::start(more);
        assert_eq!(gateway.live.read().auth.jwks_caching, caching, "{more}");
    }
}

#[tokio::test]
async fn the_series_of_a_route_go_with_the_last_snapshot_that_has_it() {
    let gateway = Gateway::start(&format!("{UPSTREAM}{ROUTE}"));
    let in_progress = gateway.live.read();
    let route = in_progress.routes.iter().next().unwrap();
    let counted = |number: u32| {
        gateway.metrics().contains(&format!("{{route=\"/a\",status=\"2xx\"}} {number}\n"))
    };
    route.metrics.served(200, Duration::ZERO);
    gateway.write(&format!("{UPSTREAM}{ROUTE}timeout = \"5s\"\n"));
    gateway.handle.reload_now().await.unwrap();
    let next = gateway.live.read().routes.iter().next().map(Arc::clone).unwrap();
    next.metrics.served(200, Duration::ZERO);
    assert!(counted(2), "one route, though it was compiled anew");
    drop(next);
    gateway.write(UPSTREAM);
    gateway.handle.reload_now().await.unwrap();
    route.metrics.served(200, Duration::ZERO);
    route.metrics.served_on_unknown();
    assert!(counted(3));
    drop(in_progress);
    assert!(!gateway.metrics().contains("/a"), "{}", gateway.metrics());
}

/// Wherever it is found that it is wrong.
#[tokio::test]
async fn a_refused_configuration_makes_no_series_and_no_key() {
    let directory = tempfile::tempdir().unwrap();
    let metrics = Metrics::new().unwrap();
    let rendered = || -> Vec<String> {
        let text = String::from_utf8(metrics.render()).unwrap();
        let own = text.lines().filter(|line| line.starts_with("guarita_"));
        own.map(str::to_owned).collect()
    };
    let before = rendered();
    let overlap = format!("{UPSTREAM}{ROUTE}{ROUTE}");
    let assertion = format!("assertion = {{ enabled = true }}\n{UPSTREAM}{ROUTE}");
    let audience = assertion.replace("name =", "assertion_audience = \"api\"\nname =");
    let compiled = |more: &str| {
        let data = directory.path().join("data");
        let text = format!(
            "data_dir = {data:?}\nlisteners = [{{ address = \"127.0.0.1:1\" }}]\n\
             tokens = {{ algorithm = \"EdDSA\", audience = \"api\" }}\n{more}"
        );
        std::fs::write(file(&directory), text).unwrap();
        let config = load(&directory);
        let source = keys::KeySource::Directory(data.join("keys"));
        compile(&config, None, &metrics, &source)
    };
    let keys = directory.path().join("data/keys");
    for wrong in [&overlap, &audience] {
        assert!(compiled(wrong).is_err(), "{wrong}");
        assert!(!keys.exists(), "{wrong}");
    }
    // A key that signs no assertions: those of tokens would be written first.
    let assertions = keys::assertion_directory(&keys);
    std::fs::create_dir_all(&assertions).unwrap();
    let misplaced = assertions.join("a.EdDSA.pem");
    std::fs::write(&misplaced, "nonsense").unwrap();
    let problems = compiled(&assertion).unwrap_err();
    assert!(problems.0[0].contains("a.EdDSA.pem"), "{problems}");
    let names = || std::fs::read_dir(&keys).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names().collect::<Vec<_>>(), ["assertion"]);
    assert_eq!(rendered(), before);
    std::fs::remove_file(&misplaced).unwrap();
    let snapshot = compiled(&assertion).unwrap();
    assert_eq!(names().count(), 2);
    assert_eq!(std::fs::read_dir(&assertions).unwrap().count(), 1);
    assert!(rendered().iter().any(|line| line.contains("route=\"/a\"")));
    drop(snapshot);
    assert_eq!(rendered(), before);
}
