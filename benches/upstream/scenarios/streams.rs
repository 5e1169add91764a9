//! Upstreams over TCP and TLS: how many connections a load takes.

use super::{GOOD_MANNERS, steadily};
use crate::report::Row;
use crate::server::{Block, Server};
use crate::upstream::Upstream;
use crate::{Bench, Subject};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Everything over TCP.
pub fn tcp(bench: &Bench, subject: &Subject) -> Result<Vec<Row>, String> {
    let upstream = Upstream::start(bench.runtime.handle(), GOOD_MANNERS);
    let block = Block::forward([&*upstream.address()]).property("force_tcp");
    Ok(vec![measure(bench, subject, "tcp", &upstream, &block)?])
}

/// Everything over TLS.
pub fn dot(bench: &Bench, subject: &Subject) -> Result<Vec<Row>, String> {
    let (authority, tls) = certificates();
    let upstream = Upstream::with_tls(bench.runtime.handle(), GOOD_MANNERS, Some(tls));
    let block = Block::forward([&*format!("tls://{}", upstream.address())])
        .property("tls ca.crt")
        .property(&format!("tls_servername {NAME}"))
        .file("ca.crt", authority);
    Ok(vec![measure(bench, subject, "dot", &upstream, &block)?])
}

fn measure(
    bench: &Bench,
    subject: &Subject,
    scenario: &str,
    upstream: &Upstream,
    block: &Block,
) -> Result<Row, String> {
    let server = Server::start(bench, subject, block)?;
    let tally = steadily(2000, bench.part).run(bench.runtime.handle(), server.address()).all();
    let connections = upstream.connections();
    let (opened, most) = (connections.opened.load(Relaxed), connections.most.load(Relaxed));
    let row = Row::new(scenario, &subject.name, &tally)
        .note(format!("{opened} connections, at most {most} questions wait on one"))
        .none_of("bad outcomes", tally.bad())
        .bar("connections are used again", opened, opened * 10 < tally.asked)
        .bar("questions do not wait for one another's replies", most, most > 1);
    Ok(row)
}

/// An authority in PEM form, and an acceptor with a certificate of its.
fn certificates() -> (String, TlsAcceptor) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&key).expect("an authority");
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new([NAME.to_owned()]).expect("a name");
    let certificate = params.signed_by(&key, &issuer).expect("a certificate");
    let secret = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let chain = vec![CertificateDer::clone(certificate.der())];
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, secret);
    (authority.pem(), TlsAcceptor::from(Arc::new(config.expect("a certificate and its key"))))
}

const NAME: &str = "upstream.test";
