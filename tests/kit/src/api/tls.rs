//! TLS of the simulated server: an authority, a server certificate and a client certificate made for a test.

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use std::path::Path;
use std::sync::Arc;
use std::{fs, io};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// How the server accepts TLS connections.
pub(crate) type Tls = TlsAcceptor;

/// An authority, what it has signed for the server and for one client.
pub struct Certificates {
    authority: rcgen::Certificate,
    server: (rcgen::Certificate, KeyPair),
    client: (rcgen::Certificate, KeyPair),
}

impl Certificates {
    /// New ones, which have nothing in common with any others.
    ///
    /// # Panics
    /// There is no randomness.
    pub fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let authority = params.self_signed(&key).expect("an authority");
        let issuer = Issuer::new(params, key);
        let signed = |purpose| {
            let key = KeyPair::generate().expect("a key");
            let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).expect("a name");
            params.extended_key_usages = vec![purpose];
            (params.signed_by(&key, &issuer).expect("a certificate"), key)
        };
        let server = signed(ExtendedKeyUsagePurpose::ServerAuth);
        let client = signed(ExtendedKeyUsagePurpose::ClientAuth);
        Self { authority, server, client }
    }

    /// Writes what a client needs into a folder: `client.crt`, `client.key` and `ca.crt`.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        fs::write(folder.join("client.crt"), self.client.0.pem())?;
        fs::write(folder.join("client.key"), self.client.1.serialize_pem())?;
        fs::write(folder.join("ca.crt"), self.authority.pem())
    }

    /// A server with these certificates that speaks these protocols (ALPN); it takes clients that have one of them.
    pub(crate) fn server(&self, protocols: &[&[u8]]) -> Tls {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::clone(self.authority.der())).expect("an authority");
        let clients = WebPkiClientVerifier::builder(Arc::new(roots)).build().expect("an authority");
        let key = PrivateKeyDer::try_from(self.server.1.serialize_der()).expect("a key");
        let chain = vec![self.server.0.der().clone()];
        let config = ServerConfig::builder().with_client_cert_verifier(clients).with_single_cert(chain, key);
        let mut config = config.expect("a certificate and its key");
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }
}

impl Default for Certificates {
    fn default() -> Self {
        Self::new()
    }
}
