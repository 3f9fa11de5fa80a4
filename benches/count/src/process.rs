//! A proxy that runs by itself or under a tool.

use std::fs;
use std::panic;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};

/// Those that run now.
static RUNNING: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// A proxy or an upstream, perhaps within a tool; killed when dropped, unless it was ended before.
pub(crate) struct Process {
    child: Child,
    /// Whether the tool started the proxy (strace), rather than having become it (valgrind).
    traced: bool,
}

/// In the release profile a panic drops nothing: what still runs is killed first, and the folder with
/// what it said stays.
pub(crate) fn kill_on_panic(folder: &Path) {
    let folder = folder.display().to_string();
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        before(info);
        let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        for &pid in running.iter() {
            for pid in children(pid).chain([pid]) {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        eprintln!("what the proxies said: {folder}/*.out");
    }));
}

/// The processes that a process started.
fn children(pid: Pid) -> impl Iterator<Item = Pid> {
    let pid = pid.as_raw_pid();
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let pids: Vec<_> = text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
    pids.into_iter().filter_map(Pid::from_raw)
}

impl Process {
    /// What it says is kept in a file.
    pub(crate) fn start(command: &[String], traced: bool, log: &Path) -> Self {
        let log = fs::File::create(log).unwrap();
        let child = Command::new(&command[0])
            .args(&command[1..])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", command[0]));
        let process = Self { child, traced };
        RUNNING.lock().unwrap().push(process.pid());
        process
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// The proxy itself.
    fn proxy(&self) -> Pid {
        if self.traced { children(self.pid()).next().expect("the proxy") } else { self.pid() }
    }

    /// Does something while the proxy stands still.
    pub(crate) fn while_stopped(&self, act: impl FnOnce()) {
        let proxy = self.proxy();
        kill_process(proxy, Signal::STOP).unwrap();
        while !stands_still(proxy) {
            thread::yield_now();
        }
        act();
        kill_process(proxy, Signal::CONT).unwrap();
    }

    /// Ends it by SIGINT, which every proxy here obeys without waiting for callers, and waits.
    pub(crate) fn end(mut self) {
        kill_process(self.proxy(), Signal::INT).unwrap();
        self.child.wait().unwrap();
    }
}

/// Whether all threads are stopped.
fn stands_still(pid: Pid) -> bool {
    let tasks = fs::read_dir(format!("/proc/{}/task", pid.as_raw_pid())).unwrap();
    tasks.flatten().all(|task| {
        let text = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        // After the name, which may hold anything.
        let state = text.rsplit_once(") ").map_or("", |(_, rest)| rest);
        state.starts_with(['T', 't'])
    })
}

impl Drop for Process {
    fn drop(&mut self) {
        // After `end` there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let pid = self.pid();
        RUNNING.lock().unwrap_or_else(PoisonError::into_inner).retain(|&running| running != pid);
    }
}
