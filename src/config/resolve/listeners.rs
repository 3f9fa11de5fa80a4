//! `[[listeners]]`

use std::net::SocketAddr;

use super::super::values::{Certificate, ClientAuth, Listener};
use super::super::written::{self, RawClientAuthMode, RawConfig};
use super::ConfigResolver;
use guarita_proxy::listener::certificates;
use guarita_proxy::listener::certificates::CertificatePem;

pub(super) fn resolve(written: &RawConfig, reader: &mut ConfigResolver<'_>) -> Vec<Listener> {
    let mut listeners: Vec<Listener> = Vec::new();
    for (position, listener) in written.listeners.iter().flatten().enumerate() {
        let path = format!("listeners[{position}]");
        let certificates = certificates(listener, &path, reader);
        let client_auth = client_auth(listener, &path, reader);
        let Some(address) = address(listener.address.as_ref(), &path, reader) else { continue };
        if listeners.iter().any(|other| other.address == address) {
            let path = format!("{path}.address");
            reader.report.problem(&path, format_args!("{address} is a duplicate"));
        }
        if listener.tls.is_none() && !address.ip().is_loopback() {
            let what =
                "plain HTTP on a non-loopback address: tokens and passwords are sent in clear text";
            reader.report.warning(&path, what);
        }
        listeners.push(Listener { address, certificates, client_auth });
    }
    listeners
}

fn address(
    written: Option<&String>,
    path: &str,
    reader: &mut ConfigResolver<'_>,
) -> Option<SocketAddr> {
    let address = written?.parse();
    if address.is_err() {
        reader.report.problem_with_hint(
            &format!("{path}.address"),
            "is not an IP address with a port",
            "for example 0.0.0.0:8443 or [::]:8443",
        );
    }
    address.ok()
}

fn certificates(
    listener: &written::RawListener,
    path: &str,
    reader: &mut ConfigResolver<'_>,
) -> Vec<Certificate> {
    let Some(tls) = &listener.tls else { return Vec::new() };
    let path = format!("{path}.tls");
    let single = (tls.certificate.as_ref(), tls.key.as_ref());
    match (single, &tls.certificates) {
        ((Some(certificate), Some(key)), None) => {
            pair(certificate, key, &path, reader).into_iter().collect()
        }
        ((None, None), Some(pairs)) => {
            let pairs = pairs.iter().enumerate();
            let pairs = pairs.filter_map(|(position, written)| {
                let path = format!("{path}.certificates[{position}]");
                pair(written.certificate.as_ref()?, written.key.as_ref()?, &path, reader)
            });
            pairs.collect()
        }
        _ => {
            if !reader.report.is_faulty(&path) {
                reader.report.problem_with_hint(
                    &path,
                    "does not name a complete pair",
                    "set either certificate and key, or certificates = [{ certificate, key }, …]",
                );
            }
            Vec::new()
        }
    }
}

/// A certificate and its key, checked to match.
fn pair(
    certificate: &str,
    key: &str,
    path: &str,
    reader: &mut ConfigResolver<'_>,
) -> Option<Certificate> {
    let certificate_path = format!("{path}.certificate");
    let chain = reader.file(&certificate_path, certificate);
    let key = reader.secret_file(&format!("{path}.key"), key);
    let (chain, key) = (chain?, key?);
    let file = reader.locate(certificate);
    let pem = CertificatePem { chain, key, origin: file.display().to_string() };
    if let Err(fault) = certificates::check(&pem) {
        reader.report.problem(&certificate_path, fault);
        return None;
    }
    warn_of_validity(&pem, &certificate_path, reader);
    Some(Certificate { chain: pem.chain, key: pem.key, file })
}

fn warn_of_validity(pem: &CertificatePem, path: &str, reader: &mut ConfigResolver<'_>) {
    let Some(validity) = certificates::validity(&pem.chain) else { return };
    if validity.until < reader.now {
        reader.report.warning(path, format_args!("{}: the certificate has expired", pem.origin));
    } else if validity.from > reader.now {
        reader
            .report
            .warning(path, format_args!("{}: the certificate is not valid yet", pem.origin));
    }
}

fn client_auth(
    listener: &written::RawListener,
    path: &str,
    reader: &mut ConfigResolver<'_>,
) -> ClientAuth {
    let Some(written) = &listener.client_auth else { return ClientAuth::None };
    let path = format!("{path}.client_auth");
    let mode = match written.mode {
        None | Some(RawClientAuthMode::None) => return ClientAuth::None,
        Some(mode) => mode,
    };
    if listener.tls.is_none() && !reader.report.is_faulty(&path) {
        reader.report.problem(&path, "needs a listener with tls");
    }
    let ca_path = format!("{path}.ca");
    let Some(ca) = &written.ca else {
        if !reader.report.is_marked(&ca_path) {
            reader.report.problem_with_hint(
                &ca_path,
                "is missing",
                "the CAs of client certificates",
            );
        }
        return ClientAuth::None;
    };
    let Some(pem) = reader.file(&ca_path, ca) else { return ClientAuth::None };
    if let Err(fault) = certificates::check_client_ca(&pem) {
        reader.report.problem(&ca_path, fault);
    }
    match mode {
        RawClientAuthMode::None => ClientAuth::None,
        RawClientAuthMode::Optional => ClientAuth::Optional(pem),
        RawClientAuthMode::Required => ClientAuth::Required(pem),
    }
}
