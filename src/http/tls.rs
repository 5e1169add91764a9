//! TLS of HTTP endpoints: from the fields of a web configuration to what rustls serves with.

use super::web_config::TlsFields;
use api::os_words;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, SupportedKxGroup, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, IpAddr, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme};
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// How an endpoint speaks TLS.
pub struct Tls {
    /// Shakes hands.
    pub acceptor: TlsAcceptor,
    /// Names of which a client's certificate must have one; empty for any client.
    allowed: Vec<String>,
}

impl Tls {
    /// Reads certificates and keys; paths are relative to `folder`.
    ///
    /// # Errors
    /// In words: what is missing, cannot be read, or is not known.
    pub fn new(fields: &TlsFields, http2: bool, folder: &Path) -> Result<Tls, String> {
        let pem = |inline: &str, file: &str, what: &str| read(inline, &folder.join(file), file, what);
        if fields.cert.is_empty() && fields.cert_file.is_empty() {
            return Err("missing one of cert or cert_file".into());
        }
        if fields.key.is_empty() && fields.key_file.is_empty() {
            return Err("missing one of key or key_file".into());
        }
        let chain = certificates(&pem(&fields.cert, &fields.cert_file, "cert_file")?, "cert")?;
        let key = pem(&fields.key, &fields.key_file, "key_file")?;
        let key = PrivateKeyDer::from_pem_slice(&key).map_err(|e| format!("key: {e}"))?;
        let authorities = match (&*fields.client_ca, &*fields.client_ca_file) {
            ("", "") => None,
            (inline, file) => Some(certificates(&pem(inline, file, "client_ca_file")?, "client_ca")?),
        };
        let provider = Arc::new(provider(fields)?);
        let clients = clients(fields, authorities, &provider)?;
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions(fields)?)
            .map_err(|e| e.to_string())?
            .with_client_cert_verifier(clients);
        let mut config = config.with_single_cert(chain, key).map_err(|e| e.to_string())?;
        config.ignore_client_order = fields.prefer_server_cipher_suites.unwrap_or(true);
        config.alpn_protocols = if http2 { vec![b"h2".into(), b"http/1.1".into()] } else { vec![b"http/1.1".into()] };
        Ok(Tls { acceptor: TlsAcceptor::from(Arc::new(config)), allowed: allowed(fields)? })
    }

    /// Whether a client with these certificates, its own first, may come in.
    pub fn admits(&self, certificates: Option<&[CertificateDer<'_>]>) -> bool {
        if self.allowed.is_empty() {
            return true;
        }
        let Some(certificate) = certificates.and_then(|chain| chain.first()) else { return false };
        let Ok(certificate) = webpki::EndEntityCert::try_from(certificate) else { return false };
        let named = |name: &str| self.allowed.iter().any(|allowed| allowed == name);
        let is_address = |allowed: &String| {
            let address = allowed.parse::<std::net::IpAddr>().map(IpAddr::from);
            address.is_ok_and(|a| certificate.verify_is_valid_for_subject_name(&ServerName::IpAddress(a)).is_ok())
        };
        certificate.valid_dns_names().any(named)
            || certificate.valid_uri_names().any(named)
            || self.allowed.iter().any(is_address)
    }
}

/// A text in the file itself, or another file.
fn read(inline: &str, path: &Path, written: &str, what: &str) -> Result<Vec<u8>, String> {
    if written.is_empty() {
        return Ok(inline.as_bytes().to_vec());
    }
    std::fs::read(path).map_err(|e| format!("{what} {written}: {}", os_words(&e)))
}

fn certificates(pem: &[u8], what: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let all = all.map_err(|e| format!("{what}: {e}"))?;
    if all.is_empty() { Err(format!("{what}: holds no certificate")) } else { Ok(all) }
}

/// The provider with the suites and groups that are wanted, in that order.
fn provider(fields: &TlsFields) -> Result<CryptoProvider, String> {
    let mut provider = ring::default_provider();
    if !fields.cipher_suites.is_empty() {
        let all = std::mem::take(&mut provider.cipher_suites);
        // TLS 1.3 has suites of its own, which nobody can choose (Go behaviour).
        provider.cipher_suites = all.iter().filter(|suite| suite.tls13().is_some()).copied().collect();
        for name in &fields.cipher_suites {
            let named = |suite: &&rustls::SupportedCipherSuite| {
                format!("{:?}", suite.suite()).replacen("TLS13_", "TLS_", 1) == *name
            };
            let suite = *all.iter().find(named).ok_or_else(|| format!("unknown cipher: {name}"))?;
            if suite.tls13().is_none() {
                provider.cipher_suites.push(suite);
            }
        }
    }
    if !fields.curve_preferences.is_empty() {
        let groups: Result<Vec<_>, _> = fields.curve_preferences.iter().map(|name| group(name)).collect();
        provider.kx_groups = groups?;
    }
    Ok(provider)
}

fn group(name: &str) -> Result<&'static dyn SupportedKxGroup, String> {
    match name {
        "X25519" => Ok(ring::kx_group::X25519),
        "CurveP256" => Ok(ring::kx_group::SECP256R1),
        "CurveP384" => Ok(ring::kx_group::SECP384R1),
        _ => Err(format!("unknown curve: {name} (expected X25519, CurveP256 or CurveP384)")),
    }
}

/// The versions between the lowest and the highest; below 1.2 there is nothing left to speak.
fn versions(fields: &TlsFields) -> Result<Vec<&'static rustls::SupportedProtocolVersion>, String> {
    let number = |text: &str, default| match text {
        "" => Ok(default),
        "TLS10" => Ok(10),
        "TLS11" => Ok(11),
        "TLS12" => Ok(12),
        "TLS13" => Ok(13),
        _ => Err(format!("unknown TLS version: {text}")),
    };
    let range = number(&fields.min_version, 12)?..=number(&fields.max_version, 13)?;
    let known = [(12, &rustls::version::TLS12), (13, &rustls::version::TLS13)];
    let versions: Vec<_> = known.into_iter().filter(|(n, _)| range.contains(n)).map(|(_, version)| version).collect();
    if versions.is_empty() {
        Err("no TLS version from min_version to max_version is spoken".into())
    } else {
        Ok(versions)
    }
}

/// Who may be a client.
fn clients(
    fields: &TlsFields,
    authorities: Option<Vec<CertificateDer<'static>>>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let kind = &*fields.client_auth_type;
    let any = |mandatory| Arc::new(AnyClient { mandatory, provider: provider.clone() });
    match kind {
        "" | "NoClientCert" if authorities.is_some() => {
            Err("client CA's have been configured without a Client Auth Policy".into())
        }
        "" | "NoClientCert" => Ok(WebPkiClientVerifier::no_client_auth()),
        "RequestClientCert" => Ok(any(false)),
        "RequireAnyClientCert" | "RequireClientCert" => Ok(any(true)),
        "VerifyClientCertIfGiven" | "RequireAndVerifyClientCert" => {
            let mut roots = RootCertStore::empty();
            for certificate in authorities.ok_or_else(|| format!("{kind} needs client_ca or client_ca_file"))? {
                roots.add(certificate).map_err(|e| format!("client_ca: {e}"))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
            let verifier = if kind.starts_with("Verify") { verifier.allow_unauthenticated() } else { verifier };
            Ok(verifier.build().map_err(|e| e.to_string())?)
        }
        _ => Err(format!("invalid ClientAuth: {kind}")),
    }
}

fn allowed(fields: &TlsFields) -> Result<Vec<String>, String> {
    let names = &fields.client_allowed_sans;
    let required = ["RequireAnyClientCert", "RequireClientCert", "RequireAndVerifyClientCert"];
    if !names.is_empty() && !required.contains(&&*fields.client_auth_type) {
        return Err(
            "client_allowed_sans needs client_auth_type RequireAnyClientCert or RequireAndVerifyClientCert".into()
        );
    }
    match names.iter().find(|name| name.contains('@') && !name.contains("://")) {
        Some(mail) => Err(format!("client_allowed_sans: the e-mail address {mail} is not supported yet")),
        None => Ok(names.clone()),
    }
}

/// Takes any certificate that its owner can sign with.
#[derive(Debug)]
struct AnyClient {
    mandatory: bool,
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for AnyClient {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
