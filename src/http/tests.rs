//! Pages over real sockets, plain and protected.

use super::*;
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::path::Path;
use tokio_rustls::TlsConnector;

fn mount(address: &str, path: &'static str, text: &'static str) -> Mount {
    let page = Arc::new(move |_: &Request| Response::text(200, text));
    let unopened = if path == "/health" { Unopened::Fails } else { Unopened::Logged("no page") };
    Mount { address: address.into(), path, unopened, until_stop: path == "/ready", web_config: None, page }
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

    show(&mut server, vec![mount(&free, "/health", "new")]).await;
    assert_eq!(get(&free, "/health").await.unwrap(), "200 new");
    server.close().await;
    assert!(get(&free, "/health").await.is_err());
}

#[tokio::test]
async fn a_page_that_may_be_missing_may_not_go() {
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    let mut server = HttpServer::new(Clock::system());
    show(&mut server, vec![mount(&taken, "/ready", "OK")]).await; // it starts without
    show(&mut server, vec![mount("127.0.0.1:0", "/ready", "OK")]).await;
    let e = server.open(vec![mount(&taken, "/ready", "OK")]).await.map(drop).unwrap_err();
    assert_eq!(e.lines().next().unwrap(), format!("listen tcp {taken}: bind: address already in use"));
}

#[tokio::test]
async fn addresses_are_read_as_go_reads_them() {
    for (address, words) in [
        ("nonsense", "listen tcp: address nonsense: missing port in address"),
        ("127.0.0.1:99999", "listen tcp: address 99999: invalid port"),
        ("127.0.0.1:nosuch", "listen tcp: lookup tcp/nosuch: unknown port"),
        ("nosuch.invalid:80", "listen tcp: lookup nosuch.invalid: no such host ("),
        ("192.0.2.77:80", "listen tcp 192.0.2.77:80: bind: cannot assign requested address\n"),
        ("[fe80::1%nosuch]:80", "listen tcp [fe80::1%nosuch]:80: bind: no such network interface"),
    ] {
        let e = open::open(address).await.map(drop).unwrap_err();
        assert!(e.starts_with(words), "{address}: {e}");
    }
    for address in ["127.0.0.1:", "localhost:0", ":0", "0.0.0.0:0"] {
        assert_ne!(open::open(address).await.unwrap().local_addr().unwrap().port(), 0, "{address}");
    }
    let everywhere = open::open("0.0.0.0:0").await.unwrap().local_addr().unwrap();
    assert_eq!(everywhere.is_ipv6(), std::net::TcpListener::bind("[::]:0").is_ok());
}

#[tokio::test]
async fn a_path_that_is_not_clean_leads_to_the_one_that_is() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut server = HttpServer::new(Clock::system());
    show(&mut server, vec![mount(&free, "/health", "OK")]).await;
    let head = |path: &'static str| {
        let free = free.clone();
        async move {
            let mut stream = TcpStream::connect(&free).await.unwrap();
            stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
            let mut reply = String::new();
            stream.read_to_string(&mut reply).await.unwrap();
            reply
        }
    };
    let reply = head("//health?a=b").await;
    assert!(reply.starts_with("HTTP/1.1 307 Temporary Redirect\r\n"), "{reply}");
    assert!(reply.contains("\r\nlocation: /health?a=b\r\n"), "{reply}");
    assert!(reply.ends_with("<a href=\"/health?a=b\">Temporary Redirect</a>.\n\n"), "{reply}");
    assert!(head("/nosuch").await.contains("\r\nx-content-type-options: nosniff\r\n"));
    assert!(!head("/health").await.contains("nosniff"));
}

#[tokio::test]
async fn a_server_that_stops_says_so_before_it_is_silent() {
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (own, shared) = (free(), free());
    let mut server = HttpServer::new(Clock::system());
    let mounts = [(&own, "/ready"), (&shared, "/ready"), (&shared, "/health")];
    show(&mut server, mounts.map(|(address, path)| mount(address, path, "OK")).to_vec()).await;
    assert_eq!(get(&own, "/ready").await.unwrap(), "200 OK");
    server.say_that_it_stops();
    for address in [&own, &shared] {
        assert_eq!(get(address, "/ready").await.unwrap(), "503 the server stops");
    }
    server.close_what_has_stopped();
    tokio::time::sleep(Duration::from_millis(50)).await; // it is closed
    assert_eq!(get(&own, "/ready").await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    assert_eq!(get(&shared, "/ready").await.unwrap(), "503 the server stops");
    assert_eq!(get(&shared, "/health").await.unwrap(), "200 OK");
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
    let plain = get(&address, "/metrics").await.unwrap();
    assert_eq!(plain, "400 Client sent an HTTP request to an HTTPS server.\n", "without TLS there is no page");
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
