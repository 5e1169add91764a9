//! TLS to upstreams: what the properties `tls` and `tls_servername` say, and the handshake, whose failures are told in Go's words.

use crate::target::Target;
use api::gotext::quote;
use api::inputs::fingerprint;
use api::os_words;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{self, CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// What the words about a certificate that is refused begin with.
pub const REFUSED: &str = "tls: failed to verify certificate: ";

/// Who upstreams are to be, and who we are.
#[derive(Clone, Default)]
pub struct Identity {
    /// Certificates of authorities; `None` for those of the system.
    roots: Option<Vec<CertificateDer<'static>>>,
    /// Our certificate and key.
    own: Option<Arc<SingleCertAndKey>>,
    /// Of what the files said.
    fingerprint: u64,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({:x})", self.fingerprint) // a key is for no eyes; with other files it is another one
    }
}

impl Identity {
    /// Reads `[CERT KEY] [CA]`.
    ///
    /// # Errors
    /// In CoreDNS's words.
    pub fn read(paths: &[String]) -> Result<Identity, String> {
        let (own, ca) = match paths {
            [cert, key, ca @ ..] => (Some((cert, key)), ca.first()),
            ca => (None, ca.first()),
        };
        let mut hasher = DefaultHasher::new();
        let own = own.map(|(cert, key)| read_own(cert, key, &mut hasher));
        let own = own.transpose().map_err(|why| format!("could not load TLS cert: {why}"))?;
        let roots = ca.map(|path| read_roots(path, &mut hasher)).transpose()?;
        Ok(Identity { roots, own, fingerprint: hasher.finish() })
    }

    /// Whether upstreams are verified by what this machine trusts.
    pub fn trusts_the_system(&self) -> bool {
        self.roots.is_none()
    }

    /// How the connections of a stanza are secured; `name` is the name that upstreams are to have.
    pub fn secure(&self, name: &str) -> Secure {
        let mut identity = self.clone();
        let roots = self.roots.clone().unwrap_or_else(|| {
            let roots = system_roots();
            identity.fingerprint = fingerprint(&(self.fingerprint, &roots));
            roots
        });
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
        let config = builder.map(|builder| {
            let verifier = Arc::new(Verifier::new(roots, provider));
            let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
            match &self.own {
                Some(own) => builder.with_client_cert_resolver(own.clone()),
                None => builder.with_no_client_auth(),
            }
        });
        let config = config.map(Arc::new).map_err(|e| e.to_string());
        Secure { identity, config, name: name.to_owned() }
    }
}

fn read_file(path: &str, hasher: &mut DefaultHasher) -> Result<Vec<u8>, String> {
    let octets = std::fs::read(path).map_err(|e| format!("open {path}: {}", os_words(&e)))?;
    octets.hash(hasher);
    Ok(octets)
}

fn read_own(cert: &str, key: &str, hasher: &mut DefaultHasher) -> Result<Arc<SingleCertAndKey>, String> {
    let (cert, key) = (read_file(cert, hasher)?, read_file(key, hasher)?);
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&cert).filter_map(Result::ok).collect();
    if chain.is_empty() {
        return Err("tls: failed to find any PEM data in certificate input".to_owned());
    }
    let key =
        PrivateKeyDer::from_pem_slice(&key).map_err(|_| "tls: failed to find any PEM data in key input".to_owned())?;
    let own = CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(|e| match e {
        Error::InconsistentKeys(_) => "tls: private key does not match public key".to_owned(),
        Error::General(_) => "tls: failed to parse private key".to_owned(),
        e => format!("tls: {e}"),
    })?;
    Ok(Arc::new(SingleCertAndKey::from(own)))
}

fn read_roots(path: &str, hasher: &mut DefaultHasher) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = read_file(path, hasher).map_err(|why| format!("error reading {path}: {why}"))?;
    let roots: Vec<_> = CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok).collect();
    let any = roots.iter().any(|root| webpki::anchor_from_trusted_cert(root).is_ok());
    if any { Ok(roots) } else { Err("could not read root certs: %!s(<nil>)".to_owned()) } // so says CoreDNS
}

/// The authorities that this machine trusts.
fn system_roots() -> Vec<CertificateDer<'static>> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        let why = found.errors.first().map_or_else(|| "there are none".to_owned(), ToString::to_string);
        tracing::warn!(
            "no certificates of authorities on this machine ({why}): no upstream over TLS can be verified, but with a CA for 'tls'"
        );
    }
    found.certs
}

/// A number that is another one when this machine trusts others.
pub fn system_roots_fingerprint() -> u64 {
    fingerprint(&rustls_native_certs::load_native_certs().certs)
}

/// How the connections of a stanza are secured.
#[derive(Clone)]
pub struct Secure {
    identity: Identity,
    config: Result<Arc<ClientConfig>, String>,
    name: String,
}

impl fmt::Debug for Secure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?}", self.identity, self.name)
    }
}

/// How the connections to an upstream are secured.
#[derive(Clone, Debug)]
pub struct Client {
    config: Result<Arc<ClientConfig>, String>,
    name: Result<ServerName<'static>, String>,
}

impl Client {
    /// For the upstream at `target`; `protocol` is what is spoken within, where that is negotiated.
    pub fn new(secure: &Secure, target: &Target, protocol: Option<&[u8]>) -> Client {
        let name = [&*target.server_name, &*secure.name].into_iter().find(|name| !name.is_empty());
        let name = match (name, &target.address) {
            (Some(name), _) => ServerName::try_from(name.trim_end_matches('.').to_owned())
                .map_err(|_| format!("tls: invalid server name {}", quote(name))),
            (None, Ok(address)) => Ok(ServerName::from(address.ip())),
            (None, Err(words)) => Err(words.clone()),
        };
        let config = secure.config.clone().map(|config| match protocol {
            Some(protocol) => {
                let mut config = (*config).clone();
                config.alpn_protocols = vec![protocol.to_vec()];
                Arc::new(config)
            }
            None => config,
        });
        Client { config, name }
    }

    /// Why no handshake can ever succeed.
    pub fn mistake(&self) -> Option<&str> {
        self.name.as_ref().err().or(self.config.as_ref().err()).map(String::as_str)
    }

    /// Shakes hands.
    ///
    /// # Errors
    /// In the words of Go's library.
    pub async fn shake(&self, stream: TcpStream, remote: SocketAddr) -> Result<TlsStream<TcpStream>, String> {
        let (config, name) = (self.config.clone()?, self.name.clone()?);
        let local = stream.local_addr().map_or_else(|_| String::new(), |a| a.to_string());
        let failed = |e: io::Error| {
            let read = |e: &io::Error| format!("read tcp {local}->{remote}: read: {}", os_words(e));
            match e.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
                Some(inner) => words(inner),
                None if e.kind() == io::ErrorKind::UnexpectedEof => "EOF".to_owned(),
                None => read(&e),
            }
        };
        TlsConnector::from(config).connect(name, stream).await.map_err(failed)
    }
}

/// What a failed handshake is called.
fn words(e: &Error) -> String {
    match e {
        Error::InvalidCertificate(CertificateError::Other(OtherError(words))) => words.to_string(),
        Error::AlertReceived(alert) => format!("remote error: tls: {}", spaced(&format!("{alert:?}"))),
        Error::InvalidMessage(_) => "tls: first record does not look like a TLS handshake".to_owned(),
        Error::PeerIncompatible(why) => format!("tls: {}", spaced(&format!("{why:?}"))),
        e => format!("tls: {e}"),
    }
}

/// `HandshakeFailure` as "handshake failure".
fn spaced(name: &str) -> String {
    let word = |c: char| if c.is_ascii_uppercase() { format!(" {}", c.to_ascii_lowercase()) } else { c.to_string() };
    name.chars().map(word).collect::<String>().trim().to_owned()
}

/// Verifies an upstream's certificate as Go does: by its chain, or because it is itself one that is trusted.
#[derive(Debug)]
struct Verifier {
    roots: Vec<CertificateDer<'static>>,
    chains: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    fn new(roots: Vec<CertificateDer<'static>>, provider: Arc<CryptoProvider>) -> Verifier {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(roots.iter().cloned());
        let chains = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider.clone()).build().ok();
        Verifier { roots, chains, provider }
    }

    /// Why a certificate is not accepted.
    fn refusal(&self, own: &CertificateDer<'_>, name: &ServerName<'_>, e: CertificateError) -> Option<String> {
        match e {
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Some(other_name(own, name))
            }
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Some(UNKNOWN.to_owned()),
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                Some(format!("certificate has expired or is not yet valid: {e}"))
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Some(format!("certificate has expired or is not yet valid: {e}"))
            }
            // An authority's certificate that a server shows as its own: its time has been looked at before.
            CertificateError::Other(OtherError(e))
                if is_authority(&*e) && self.roots.iter().any(|root| root == own) =>
            {
                let named =
                    webpki::EndEntityCert::try_from(own).map(|c| c.verify_is_valid_for_subject_name(name).is_ok());
                (!named.unwrap_or(false)).then(|| other_name(own, name))
            }
            CertificateError::Other(OtherError(e)) if is_authority(&*e) => Some(UNKNOWN.to_owned()),
            e => Some(e.to_string()),
        }
    }
}

const UNKNOWN: &str = "certificate signed by unknown authority";

fn is_authority(e: &(dyn std::error::Error + 'static)) -> bool {
    matches!(e.downcast_ref::<webpki::Error>(), Some(webpki::Error::CaUsedAsEndEntity))
}

/// The certificate is for other names.
fn other_name(own: &CertificateDer<'_>, name: &ServerName<'_>) -> String {
    let names: Vec<String> = webpki::EndEntityCert::try_from(own)
        .map(|certificate| certificate.valid_dns_names().map(str::to_owned).collect())
        .unwrap_or_default();
    match name {
        ServerName::IpAddress(address) => {
            let address = std::net::IpAddr::from(*address);
            format!("cannot validate certificate for {address} because it doesn't contain any IP SANs")
        }
        name if names.is_empty() => {
            format!("certificate is not valid for any names, but wanted to match {}", name.to_str())
        }
        name => format!("certificate is valid for {}, not {}", names.join(", "), name.to_str()),
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = match &self.chains {
            Some(chains) => chains.verify_server_cert(own, chain, name, ocsp, now),
            None => Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)),
        };
        let refusal = match verified {
            Err(Error::InvalidCertificate(e)) => self.refusal(own, name, e),
            Err(e) => Some(e.to_string()),
            Ok(_) => None,
        };
        let error = |words| {
            let words = format!("{REFUSED}x509: {words}");
            Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::from(Box::from(words)))))
        };
        refusal.map_or(Ok(ServerCertVerified::assertion()), |words| Err(error(words)))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls12_signature(message, own, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls13_signature(message, own, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
