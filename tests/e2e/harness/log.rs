//! What the gateway writes to standard output and standard error.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};

use super::wait::until;

/// All lines so far.
#[derive(Clone, Debug, Default)]
pub struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    /// Keeps reading lines until the stream ends.
    pub fn follow(&self, stream: impl AsyncRead + Unpin + Send + 'static) {
        let kept = self.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(stream).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                kept.0.lock().unwrap().push(line);
            }
        });
    }

    pub fn text(&self) -> String {
        self.0.lock().unwrap().join("\n")
    }

    pub fn tail(&self, count: usize) -> String {
        let lines = self.0.lock().unwrap();
        lines[lines.len().saturating_sub(count)..].join("\n")
    }

    /// The lines that are JSON objects.
    pub fn events(&self) -> Vec<Value> {
        let lines = self.0.lock().unwrap();
        lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The first event for which the condition holds, now or later.
    pub async fn wait_for(&self, what: &str, condition: impl Fn(&Value) -> bool) -> Value {
        until(what, || async { self.events().into_iter().find(&condition) }).await
    }
}
