//! What is around the daemon: an API server, upstreams over all transports, the resolver of the operating system.

use super::confined::Means;
use serde_json::{Value, json};
use std::net::UdpSocket;
use std::path::Path;
use std::thread::spawn;
use testkit::api::Certificates;
use testkit::dns::{Message, Record, flag};
use testkit::{Api, Port, Secured, Speaks, Upstream};
use tokio::runtime::Runtime;

pub(super) struct World {
    pub(super) api: Api,
    pub(super) dns: Port,
    /// The port that the daemon has: 53, if it can have it.
    pub(super) number: u16,
    pub(super) health: Port,
    pub(super) ready: Port,
    pub(super) metrics: Port,
    upstream: Upstream,
    tls: Secured,
    https: Secured,
    /// The host of an upstream, as the Corefile names it.
    host: &'static str,
    _runtime: Runtime,
}

/// The zones, each with a transport of its own, in which there is a `www`.
pub(super) const ZONES: [&str; 5] = ["udp", "tcp", "tls", "https", "os"];

impl World {
    /// One, and in `folder` what the daemon needs in it.
    pub(super) fn new(means: Means, folder: &Path) -> World {
        let runtime = Runtime::new().expect("a runtime");
        let certificates = Certificates::new();
        certificates.write(folder).expect("written");
        let namespace = json!({"kind": "Namespace", "metadata": {"name": "d"}});
        let api = runtime.block_on(Api::start([namespace, service("one")])).expect("started");
        runtime.block_on(api.down());
        api.use_tls(&certificates);
        runtime.block_on(api.up()).expect("started");
        let answer = |zone: &str| json!({"answer": [format!("www.{zone}.test. 60 IN A 10.0.0.1")]});
        let script: Value = ZONES
            .iter()
            .map(|zone| (format!("www.{zone}.test a"), answer(zone)))
            .collect::<serde_json::Map<_, _>>()
            .into();
        let upstream = Upstream::start(serde_json::from_value(script).expect("a script"));
        let upstream = runtime.block_on(upstream).expect("started");
        let secured =
            |speaks| runtime.block_on(Secured::start(speaks, upstream.port(), &certificates)).expect("started");
        let (tls, https) = (secured(Speaks::Dns), secured(Speaks::Http));
        let asks_resolver = means.network && means.files;
        if asks_resolver {
            std::fs::write(folder.join("resolv.conf"), "nameserver 127.0.0.2\n").expect("written");
            resolver();
        }
        let host = if asks_resolver { "upstream.example.org" } else { "localhost" };
        let dns = Port::free();
        let number = if means.network { 53 } else { dns.number() };
        let [health, ready, metrics] = [(); 3].map(|()| Port::free());
        World { api, dns, number, health, ready, metrics, upstream, tls, https, host, _runtime: runtime }
    }

    /// A Corefile that uses all of it, with `more` in its first block.
    pub(super) fn corefile(&self, more: &str) -> String {
        let (dns, host, to, url) = (self.number, self.host, self.upstream.port(), self.api.url());
        let [health, ready, metrics] = [&self.health, &self.ready, &self.metrics].map(Port::number);
        let [tls, https] = [&self.tls, &self.https].map(Secured::port);
        let files = "tls client.crt client.key ca.crt";
        format!(
            ".:{dns} {{\n bind lo\n errors\n log\n reload 2s 0s\n {more}\n health 127.0.0.1:{health}\n ready 127.0.0.1:{ready}\n \
             prometheus localhost:{metrics}\n hosts {{\n  10.0.0.9 www.hosts.test\n  fallthrough\n }}\n \
             kubernetes cluster.local {{\n  endpoint {url}\n  {files}\n  snapshot state/cluster\n }}\n cache 30\n \
             forward tcp.test 127.0.0.1:{to} {{\n  force_tcp\n }}\n \
             forward tls.test tls://127.0.0.1:{tls} {{\n  {files}\n }}\n \
             forward https.test https://127.0.0.1:{https} {{\n  {files}\n }}\n \
             forward os.test {host}:{to}\n forward . 127.0.0.1:{to}\n loadbalance\n}}\n"
        )
    }
}

/// A service of the cluster.
pub(super) fn service(name: &str) -> Value {
    json!({"kind": "Service", "metadata": {"namespace": "d", "name": name}, "spec": {"clusterIP": "10.96.0.7"}})
}

/// A resolver at 127.0.0.2, to which every name is this machine; it stays until the process ends.
fn resolver() {
    let socket = UdpSocket::bind("127.0.0.2:53").expect("a network of its own");
    spawn(move || {
        let mut query = [0; 512];
        while let Ok((length, client)) = socket.recv_from(&mut query) {
            let mut message = Message::parse(&query[..length]).expect("a query");
            message.bits |= flag::QR | flag::RA;
            let question = &message.questions[0];
            if question.rtype == 1 {
                let record = format!("{} 60 IN A 127.0.0.1", question.name);
                message.answer.push(Record::from_text(&record).expect("a record"));
            }
            socket.send_to(&message.to_wire(), client).expect("sent");
        }
    });
}
