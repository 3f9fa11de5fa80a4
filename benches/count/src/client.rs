//! Callers that ask in step: each on a connection of its own, all before the first answer is read.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// Under valgrind a proxy needs seconds to start.
const PATIENCE: Duration = Duration::from_secs(120);

trait Transport: Read + Write {}
impl<T: Read + Write> Transport for T {}

/// A connection that is kept.
pub(crate) struct Connection {
    stream: Box<dyn Transport>,
    read: Vec<u8>,
}

/// An answer with a length.
pub(crate) struct Answer {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Connection {
    /// Connects as soon as somebody listens. With a certificate authority it is a connection with TLS.
    pub(crate) fn open(address: SocketAddr, authority: Option<&Path>) -> Self {
        let mut stream = connect(address);
        let stream: Box<dyn Transport> = match authority {
            None => Box::new(stream),
            Some(file) => {
                let mut roots = RootCertStore::empty();
                roots.add(CertificateDer::from_pem_file(file).unwrap()).unwrap();
                let config =
                    ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
                let name = ServerName::try_from(crate::target::HOST).unwrap();
                let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
                // A proxy that stands still can shake no hands.
                connection.complete_io(&mut stream).unwrap();
                Box::new(StreamOwned::new(connection, stream))
            }
        };
        Self { stream, read: Vec::with_capacity(8192) }
    }

    fn send(&mut self, request: &[u8]) {
        self.stream.write_all(request).unwrap();
        self.stream.flush().unwrap();
    }

    fn receive(&mut self) -> Answer {
        let mut buffer = [0; 8192];
        loop {
            if let Some(answer) = self.complete() {
                return answer;
            }
            let count = self.stream.read(&mut buffer).expect("an answer");
            assert!(count > 0, "closed within an answer: {}", String::from_utf8_lossy(&self.read));
            self.read.extend_from_slice(&buffer[..count]);
        }
    }

    /// The answer, where all of it is there.
    fn complete(&mut self) -> Option<Answer> {
        let end = self.read.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let head = String::from_utf8_lossy(&self.read[..end]).into_owned();
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse::<usize>().unwrap())
        });
        let all = end + length.unwrap_or_else(|| panic!("an answer without a length: {head}"));
        if self.read.len() < all {
            return None;
        }
        let body = self.read[end..all].to_vec();
        assert!(self.read.len() == all, "more than one answer: {head}");
        self.read.clear();
        Some(Answer { head, body })
    }

    /// Asks and waits. Any answer but 200 ends the measurement: it would not be the same work.
    pub(crate) fn ask(&mut self, request: &[u8]) -> Answer {
        self.send(request);
        self.receive_ok()
    }

    fn receive_ok(&mut self) -> Answer {
        let answer = self.receive();
        assert!(answer.head.starts_with("HTTP/1.1 200"), "{}", answer.head);
        answer
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let began = Instant::now();
    loop {
        match TcpStream::connect(address) {
            Ok(stream) => {
                stream.set_nodelay(true).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                return stream;
            }
            Err(error) => {
                assert!(began.elapsed() < PATIENCE, "nobody listens on {address}: {error}");
                std::thread::park_timeout(Duration::from_millis(5));
            }
        }
    }
}

/// Sends a request on every connection.
pub(crate) fn send(callers: &mut [Connection], request: &[u8]) {
    callers.iter_mut().for_each(|caller| caller.send(request));
}

/// Waits for an answer on every connection.
pub(crate) fn receive(callers: &mut [Connection]) {
    for caller in callers {
        caller.receive_ok();
    }
}
