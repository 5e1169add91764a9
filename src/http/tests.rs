//! Pages over real sockets, plain and protected.

use super::*;
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;

fn mount(address: &str, path: &'static str, text: &'static str) -> Mount {
    let page = Arc::new(move |_: &Request| Response::text(200, text));
    Mount { address: address.into(), path, optional: false, until_stop: path == "/ready", web_config: None, page }
}

async fn show(server: &mut HttpServer, mounts: Vec<Mount>) {
    let pages = server.open(mounts).await.unwrap();
    server.show(pages);
}

async fn get(address: &str, path: &str) -> io::Result<String> {
    ask(TcpStream::connect(address).await?, path).await
}

async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, path: &str) -> io::Result<String> {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await?;
    let (head, body) = reply.split_once("\r\n\r\n").ok_or(io::ErrorKind::InvalidData)?;
    Ok(format!("{} {body}", head.split(' ').nth(1).unwrap_or_default()))
}

#[tokio::test]
async fn pages_come_and_go() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut server = HttpServer::new(Clock::system());
    show(&mut server, vec![mount(&free, "/health", "OK"), mount(&free, "/ready", "OK")]).await;
    assert_eq!(get(&free, "/health").await.unwrap(), "200 OK");
    assert_eq!(get(&free, "/nosuch").await.unwrap(), "404 404 page not found\n");

    let broken = server.open(vec![mount("192.0.2.77:1", "/health", "")]).await.map(drop);
    let words = "listen tcp 192.0.2.77:1: bind: cannot assign requested address";
    assert_eq!(broken.unwrap_err().lines().next(), Some(words));
    assert_eq!(get(&free, "/health").await.unwrap(), "200 OK", "a failure changes nothing");

    server.stop_saying_ready();
    assert_eq!(get(&free, "/ready").await.unwrap(), "404 404 page not found\n");
    show(&mut server, vec![mount(&free, "/health", "new")]).await;
    assert_eq!(get(&free, "/health").await.unwrap(), "200 new");
    server.close().await;
    assert!(get(&free, "/health").await.is_err());
}

#[tokio::test]
async fn what_was_asked_before_the_end_is_answered() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut server = HttpServer::new(Clock::system());
    show(&mut server, vec![mount(&free, "/health", "OK")]).await;
    let stream = TcpStream::connect(&free).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await; // it is accepted
    let end = server.close();
    let (answer, ()) = tokio::join!(ask(stream, "/health"), end);
    assert_eq!(answer.unwrap(), "200 OK");
}

/// Who signs the certificates of a test, and a folder for them.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Authority { issuer, folder }
    }

    /// Certificate and key for a name, both in PEM.
    fn certify(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    /// Writes the server's certificate, and a web configuration with it and these lines more.
    fn serve(&self, name: &str, more: &str) -> PathBuf {
        let (certificate, key) = self.certify(name);
        let path = |file: &str| self.folder.path().join(file);
        std::fs::write(path("cert.pem"), certificate).unwrap();
        std::fs::write(path("key.pem"), key).unwrap();
        let lines = format!("tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n{more}");
        std::fs::write(path("web.yml"), lines).unwrap();
        path("web.yml")
    }

    /// Asks as a client that wants to meet `name`, and shows this certificate.
    async fn get(&self, address: &str, name: &str, own: Option<(String, String)>) -> io::Result<String> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_root_certificates(roots);
        let config = match own {
            None => config.with_no_client_auth(),
            Some((certificate, key)) => {
                let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                config.with_client_auth_cert(vec![certificate], key).unwrap()
            }
        };
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::try_from(name.to_owned()).unwrap();
        ask(TlsConnector::from(Arc::new(config)).connect(name, stream).await?, "/metrics").await
    }
}

/// A server that shows `/metrics` behind this file, and where.
async fn protected(web_config: &Path) -> (HttpServer, String) {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut server = HttpServer::new(Clock::system());
    let page = Mount { web_config: Some(web_config.to_owned()), ..mount(&free, "/metrics", "numbers") };
    show(&mut server, vec![page]).await;
    (server, free)
}

#[tokio::test]
async fn a_page_over_tls_with_a_certificate_that_is_renewed() {
    let authority = Authority::new();
    let (_server, address) = protected(&authority.serve("one.test", "")).await;
    assert_eq!(authority.get(&address, "one.test", None).await.unwrap(), "200 numbers");
    assert!(get(&address, "/metrics").await.is_err(), "without TLS there is no page");
    authority.serve("two.test", "");
    assert_eq!(authority.get(&address, "two.test", None).await.unwrap(), "200 numbers");
    assert!(authority.get(&address, "one.test", None).await.is_err());
}

#[tokio::test]
async fn a_broken_file_shows_nothing_until_it_is_mended() {
    let authority = Authority::new();
    let file = authority.serve("one.test", "nonsense: 1\n");
    let (_server, address) = protected(&file).await;
    assert!(authority.get(&address, "one.test", None).await.is_err());
    assert!(get(&address, "/metrics").await.is_err(), "a broken file does not lay the page open");
    authority.serve("one.test", "");
    assert_eq!(authority.get(&address, "one.test", None).await.unwrap(), "200 numbers");
}

#[tokio::test]
async fn clients_show_a_certificate() {
    let authority = Authority::new();
    let more = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n  client_allowed_sans: [prom.test]\n";
    let (_server, address) = protected(&authority.serve("one.test", more)).await;
    let own = Some(authority.certify("prom.test"));
    assert_eq!(authority.get(&address, "one.test", own).await.unwrap(), "200 numbers");
    for own in [None, Some(authority.certify("other.test")), Some(Authority::new().certify("prom.test"))] {
        assert!(!matches!(authority.get(&address, "one.test", own).await.as_deref(), Ok("200 numbers")));
    }
}

#[tokio::test]
async fn passwords_and_headers() {
    let authority = Authority::new();
    let hash = bcrypt::hash("sesame", 4).unwrap();
    let more =
        format!("basic_auth_users: {{alice: {hash}}}\nhttp_server_config: {{headers: {{X-Frame-Options: deny}}}}\n");
    let (_server, address) = protected(&authority.serve("one.test", &more)).await;
    assert_eq!(authority.get(&address, "one.test", None).await.unwrap(), "401 Unauthorized\n");
}

#[tokio::test]
async fn an_address_is_protected_in_one_way() {
    let server = HttpServer::new(Clock::system());
    let page = |path, file: &str| Mount { web_config: Some(file.into()), ..mount("127.0.0.1:0", path, "") };
    let both = vec![page("/metrics", "a.yml"), page("/other", "b.yml")];
    let error = server.open(both).await.map(drop).unwrap_err();
    assert_eq!(error, "127.0.0.1:0 is to be protected by both a.yml and b.yml");
}
