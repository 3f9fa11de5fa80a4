//! What one request costs, as the difference of two runs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::run::Run;
use crate::target::{Ground, Request, Target};
use crate::tool::{callgrind, dhat, strace};

/// Requests of the first run; twice as many in the second.
const REQUESTS: usize = 1024;

/// Of some threads: those that serve requests, or the others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Threads {
    pub(crate) instructions: f64,
    pub(crate) allocations: f64,
    pub(crate) system_calls: BTreeMap<String, f64>,
}

/// Of a whole run, or of one request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Counts {
    /// The thread that reads the requests.
    pub(crate) serving: Threads,
    pub(crate) others: Threads,
    pub(crate) copies: f64,
    pub(crate) bytes_copied: f64,
}

impl Threads {
    fn since(&self, before: &Self, requests: f64) -> Self {
        let names = self.system_calls.keys().chain(before.system_calls.keys());
        let of = |threads: &Self, name| threads.system_calls.get(name).copied().unwrap_or(0.0);
        let system_calls = names
            .map(|name| (name.clone(), (of(self, name) - of(before, name)) / requests))
            .filter(|(_, count)| *count != 0.0)
            .collect();
        Self {
            instructions: (self.instructions - before.instructions) / requests,
            allocations: (self.allocations - before.allocations) / requests,
            system_calls,
        }
    }

    pub(crate) fn all_system_calls(&self) -> f64 {
        self.system_calls.values().sum()
    }
}

impl Counts {
    /// What each of the requests cost that were made since.
    fn since(&self, before: &Self, requests: f64) -> Self {
        Self {
            serving: self.serving.since(&before.serving, requests),
            others: self.others.since(&before.others, requests),
            copies: (self.copies - before.copies) / requests,
            bytes_copied: (self.bytes_copied - before.bytes_copied) / requests,
        }
    }
}

/// Counts what a request costs a proxy.
pub(crate) fn of_one_request(ground: &Ground, target: &Target, request: &Request) -> Counts {
    let of_a_run = |requests: usize| {
        let run = Run { ground, target, request, times: requests / request.connections };
        let mut counts = Counts::default();
        callgrind::count(&run, &mut counts);
        dhat::count(&run, &mut counts);
        strace::count(&run, &mut counts);
        counts
    };
    let (first, second) = (of_a_run(REQUESTS), of_a_run(2 * REQUESTS));
    second.since(&first, REQUESTS as f64)
}
