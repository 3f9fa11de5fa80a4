//! One run of a proxy under a tool: it starts, answers so many requests, and ends.

use std::path::PathBuf;

use crate::client::{self, Connection};
use crate::process::Process;
use crate::target::{Ground, Request, Target, words};

pub(crate) struct Run<'a> {
    pub(crate) ground: &'a Ground,
    pub(crate) target: &'a Target,
    pub(crate) request: &'a Request,
    /// On each connection.
    pub(crate) times: usize,
}

impl Run<'_> {
    /// Where a tool writes: a file, or several whose names begin so.
    pub(crate) fn output(&self, tool: &str) -> PathBuf {
        self.ground.folder.join(tool)
    }

    /// Runs the proxy under a tool, which becomes the proxy (as valgrind does) or traces it (strace).
    pub(crate) fn under(&self, tool: &[&str], traces: bool) {
        let ground = self.ground;
        let command: Vec<String> =
            words(tool).into_iter().chain(self.target.command.clone()).collect();
        let process = Process::start(&command, traces, &ground.folder.join("proxy.out"));
        let (address, authority) = match self.request.tls {
            false => (ground.plain, None),
            true => (ground.tls, Some(ground.certificate.as_path())),
        };
        let mut callers: Vec<_> = (0..self.request.connections)
            .map(|_| {
                let mut caller = Connection::open(address, authority);
                caller.ask(&self.request.bytes);
                caller
            })
            .collect();
        // All of them at once: as many connections to the upstream are made in every run.
        process.while_stopped(|| client::send(&mut callers, &self.request.bytes));
        client::receive(&mut callers);
        for _ in 0..self.times {
            client::send(&mut callers, &self.request.bytes);
            client::receive(&mut callers);
        }
        // Before the callers go: nobody knows how many of them it would see off.
        process.end();
    }
}
