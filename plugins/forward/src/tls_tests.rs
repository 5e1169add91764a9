//! Upstreams over TLS that are played by the tests.

use crate::tests::{self, chain, said};
use api::test::query;
use api::{Chain, Query};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// An upstream with a certificate for `dns.example.org`, which an authority has signed or which is one itself.
pub struct Secured {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    folder: TempDir,
}

impl Secured {
    pub async fn new(is_authority: bool, protocols: &[&str]) -> Secured {
        let key = || KeyPair::generate().expect("a key");
        let names = |names: &[&str]| {
            CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).expect("names")
        };
        let mut params = names(&[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, key()).expect("an authority");
        let own = key();
        let mut params = names(&["dns.example.org"]);
        let certificate = if is_authority {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.self_signed(&own)
        } else {
            params.signed_by(&own, &authority)
        };
        let certificate = certificate.expect("a certificate");
        let folder = tempfile::tempdir().expect("a folder");
        let authority = if is_authority { certificate.pem() } else { authority.pem() };
        for (name, pem) in [("ca.pem", authority), ("cert.pem", certificate.pem()), ("key.pem", own.serialize_pem())] {
            std::fs::write(folder.path().join(name), pem).expect("written");
        }
        let key = PrivateKeyDer::from_pem_slice(own.serialize_pem().as_bytes()).expect("a key");
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().expect("versions").with_no_client_auth();
        let mut config = builder.with_single_cert(vec![certificate.der().clone()], key).expect("a configuration");
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        Secured { listener, acceptor: TlsAcceptor::from(Arc::new(config)), folder }
    }

    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("an address")
    }

    /// A file of it.
    pub fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    pub async fn accept(&self) -> TlsStream<TcpStream> {
        let stream =
            timeout(Duration::from_secs(5), self.listener.accept()).await.expect("in time").expect("a connection");
        self.acceptor.accept(stream.0).await.expect("shaken hands")
    }

    /// What the upstream says of a client that does not trust it does not matter.
    async fn refuse(&self) {
        let (stream, _) = self.listener.accept().await.expect("a connection");
        let _ = self.acceptor.accept(stream).await;
    }
}

/// What the chain answers to `question`.
pub async fn ask(chain: &Chain, question: &str) -> String {
    said(&asked(chain, question).await)
}

async fn asked(chain: &Chain, question: &str) -> Query {
    timeout(Duration::from_secs(5), tests::asked(chain, query(question))).await.expect("in time")
}

/// Answers one query with its own octets, as a reply.
async fn echo(stream: &mut TlsStream<TcpStream>) {
    let length = stream.read_u16().await.expect("a frame");
    let mut message = vec![0; length.into()];
    stream.read_exact(&mut message).await.expect("a query");
    message[2] |= 0x80;
    let framed = [&length.to_be_bytes()[..], &message].concat();
    stream.write_all(&framed).await.expect("written");
    stream.flush().await.expect("written");
}

#[tokio::test]
async fn queries_go_over_one_connection_whatever_the_clients_transport_is() {
    for is_authority in [false, true] {
        let upstream = Secured::new(is_authority, &[]).await;
        let (address, ca) = (upstream.address(), upstream.file("ca.pem"));
        for options in [
            format!("tls://{address} {{\ntls {ca}\ntls_servername dns.example.org\n}}"),
            format!("tls://127.0.0.1%dns.example.org:{} {{\ntls {ca}\nprefer_udp\n}}", address.port()),
        ] {
            let chain = chain(&format!("forward . {options}")).expect("no mistakes");
            let play = async {
                let mut stream = upstream.accept().await;
                assert_eq!(stream.get_ref().1.server_name(), Some("dns.example.org"));
                for _ in 0..3 {
                    echo(&mut stream).await;
                }
            };
            let asked = async {
                [ask(&chain, "a.org A").await, ask(&chain, "b.org A +tcp").await, ask(&chain, "c.org A").await]
            };
            let (answers, ()) = tokio::join!(asked, play);
            assert_eq!(answers, ["NOERROR rd", "NOERROR rd", "NOERROR rd"], "{options}");
        }
    }
}

#[tokio::test]
async fn who_the_upstream_is_not_is_told_in_words_that_users_search_for() {
    let x509 = "tls: failed to verify certificate: x509: ";
    for is_authority in [false, true] {
        let (upstream, other) = (Secured::new(is_authority, &[]).await, Secured::new(is_authority, &[]).await);
        let address = upstream.address();
        for (files, name, why) in [
            (
                &upstream,
                "tls_servername wrong.example.org",
                "certificate is valid for dns.example.org, not wrong.example.org",
            ),
            (&upstream, "", "cannot validate certificate for 127.0.0.1 because it doesn't contain any IP SANs"),
            (&other, "tls_servername dns.example.org", "certificate signed by unknown authority"),
        ] {
            let ca = files.file("ca.pem");
            let options = format!("tls {ca}\nmax_fails 0\nmax_connect_attempts 1\n{name}");
            let chain = chain(&format!("forward . tls://{address} {{\n{options}\n}}")).expect("no mistakes");
            let (q, ()) = tokio::join!(asked(&chain, "a.org A"), upstream.refuse());
            assert_eq!(said(&q), format!("SERVFAIL (no message): {x509}{why}"));
            assert_eq!(q.reply.error().map(api::Error::context), Some(""), "the line is CoreDNS's to its end");
        }
    }
}

#[tokio::test]
async fn failed_handshakes_are_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let address = listener.local_addr().expect("an address");
    let options = "max_fails 0\nmax_connect_attempts 1\nread_timeout 100ms\ntls_servername a.example";
    let chain = chain(&format!("forward . tls://{address} {{\n{options}\n}}")).expect("no mistakes");
    for (octets, why) in [
        (&b""[..], "EOF".to_owned()),
        (b"\0\x0cabcdefghijkl", "tls: first record does not look like a TLS handshake".to_owned()),
        (b"\x15\x03\x03\0\x02\x02\x28", "remote error: tls: handshake failure".to_owned()),
        (b"\x16", format!("dial tcp {address}: i/o timeout")),
    ] {
        let play = async {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            assert!(stream.read(&mut [0; 4096]).await.expect("a greeting") > 0);
            stream.write_all(octets).await.expect("written");
            if octets.len() == 1 {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        let (answer, ()) = tokio::join!(ask(&chain, "a.org A"), play);
        assert_eq!(answer, format!("SERVFAIL (no message): {why}"));
    }
}

#[tokio::test]
async fn sessions_are_resumed_and_our_certificate_is_shown() {
    let upstream = Secured::new(false, &[]).await;
    let files = ["cert.pem", "key.pem", "ca.pem"].map(|name| upstream.file(name)).join(" ");
    let options = format!("tls {files}\ntls_servername dns.example.org\nexpire 0s");
    let chain = chain(&format!("forward . tls://{} {{\n{options}\n}}", upstream.address())).expect("no mistakes");
    for resumed in [false, true] {
        let play = async {
            let mut stream = upstream.accept().await;
            echo(&mut stream).await;
            stream.get_ref().1.handshake_kind()
        };
        let (answer, kind) = tokio::join!(ask(&chain, "a.org A"), play);
        assert_eq!(answer, "NOERROR rd");
        assert_eq!(kind == Some(rustls::HandshakeKind::Resumed), resumed);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn files_that_are_refused() {
    let (one, two) = (Secured::new(false, &[]).await, Secured::new(false, &[]).await);
    let (cert, key, none) = (one.file("cert.pem"), two.file("key.pem"), one.file("none"));
    std::fs::write(one.file("no.pem"), "nothing").expect("written");
    let no = one.file("no.pem");
    for (files, why) in [
        (none.clone(), format!("error reading {none}: open {none}: no such file or directory")),
        (format!("{cert} {none}"), format!("could not load TLS cert: open {none}: no such file or directory")),
        (
            format!("{no} {key}"),
            "could not load TLS cert: tls: failed to find any PEM data in certificate input".to_owned(),
        ),
        (format!("{cert} {no}"), "could not load TLS cert: tls: failed to find any PEM data in key input".to_owned()),
        (format!("{cert} {key}"), "could not load TLS cert: tls: private key does not match public key".to_owned()),
        (no.clone(), "could not read root certs: %!s(<nil>)".to_owned()),
    ] {
        let refusal = chain(&format!("forward . 127.0.0.1 {{\ntls {files}\n}}")).map(|_| ()).expect_err("refused");
        assert_eq!(refusal, format!("f:3 - plugin/forward: {why}"));
    }
}
