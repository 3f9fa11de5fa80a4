//! The upstream: 1 KiB for every request, as soon as as many wait for it as callers ask in step. So a
//! proxy opens one connection for each of them in every run, however fast it is.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use crate::client::first_message;

pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    step: Arc<Step>,
}

/// Where requests wait for one another.
#[derive(Default)]
struct Step {
    state: Mutex<State>,
    done: Condvar,
}

#[derive(Default)]
struct State {
    together: usize,
    waiting: usize,
    steps: u64,
}

impl Upstream {
    /// A thread for each connection.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let step = Arc::new(Step::default());
        let shared = Arc::clone(&step);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, step) = (stream.unwrap(), Arc::clone(&shared));
                thread::spawn(move || serve(stream, &step));
            }
        });
        Self { address, step }
    }

    /// From now on so many are answered at once.
    pub(crate) fn answer_together(&self, requests: usize) {
        self.step.state.lock().unwrap().together = requests;
    }
}

impl Step {
    fn wait_for_the_others(&self) {
        let mut state = self.state.lock().unwrap();
        state.waiting += 1;
        if state.waiting == state.together {
            state.waiting = 0;
            state.steps += 1;
            self.done.notify_all();
            return;
        }
        let step = state.steps;
        drop(self.done.wait_while(state, |state| state.steps == step).unwrap());
    }
}

/// Answers until the proxy closes.
fn serve(mut stream: TcpStream, step: &Step) {
    stream.set_nodelay(true).unwrap();
    // What nginx says before such a body.
    let head = "HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Tue, 01 Dec 2026 12:00:00 GMT\r\n\
                Content-Type: text/plain\r\nContent-Length: 1024\r\nConnection: keep-alive\r\n\r\n";
    let answer = head.to_owned() + &"x".repeat(1024);
    let (mut read, mut buffer) = (Vec::new(), [0; 8192]);
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        read.extend_from_slice(&buffer[..count]);
        if first_message(&mut read).is_some() {
            step.wait_for_the_others();
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }
}
