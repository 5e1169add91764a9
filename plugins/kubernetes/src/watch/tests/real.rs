//! Against a real API server: `PODDNS_TEST_KUBECONFIG` names the kubeconfig of one that is there for tests only.
//!
//! Objects are made in namespace `d`. Where files beside the kubeconfig say how (`NAME.pid` of `apiserver` and `etcd`, which are
//! started again by themselves but for `NAME.hold`; the folder `etcd`; `dns.kubeconfig` of a user that may list and watch), it
//! is also killed, paused, and restored from a backup.

use super::bars::figure;
use super::world::{World, service};
use crate::connect::Place;
use crate::watch::Pace;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tokio::time::sleep;

struct Real {
    world: World,
    admin: Client,
    folder: PathBuf,
}

#[tokio::test]
#[expect(clippy::print_stderr, reason = "figures of a test")]
async fn a_real_api_server() {
    let Some(kubeconfig) = std::env::var_os("PODDNS_TEST_KUBECONFIG").map(PathBuf::from) else {
        return eprintln!("skipped: PODDNS_TEST_KUBECONFIG does not name the kubeconfig of an API server for tests");
    };
    let real = Real::new(&kubeconfig).await;
    let test = async {
        real.changes().await;
        if real.folder.join("apiserver.pid").exists() {
            real.restarts().await;
            real.pause().await;
        }
        if real.folder.join("etcd").exists() {
            real.backup().await;
        }
        real.idle().await;
    };
    real.world.follow(test).await;
}

impl Real {
    async fn new(kubeconfig: &Path) -> Real {
        let place = |file: &Path| Place::Kubeconfig { file: file.display().to_string(), context: None };
        let admin = Client::try_from(place(kubeconfig).config().unwrap()).unwrap();
        let folder = kubeconfig.parent().unwrap().to_owned();
        let user = Some(folder.join("dns.kubeconfig")).filter(|f| f.exists());
        let pace = Pace::new(Duration::from_secs(20));
        // The simulated server has nothing to do here.
        let unused = testkit::Api::start([]).await.unwrap();
        let world = World::at(unused, place(user.as_deref().unwrap_or(kubeconfig)), pace);
        let real = Real { world, admin, folder };
        let namespaces = "/api/v1/namespaces";
        real.ask("DELETE", &format!("{namespaces}/d/services"), "").await;
        real.ask("POST", namespaces, &json!({"metadata": {"name": "d"}}).to_string()).await;
        real
    }

    /// How soon additions and deletions are seen after the API server has said that it has them.
    async fn changes(&self) {
        let mut added = Vec::new();
        for n in 0..50 {
            let name = format!("s{n}");
            self.add(&name, 1000 + n).await;
            added.push(self.world.seen(&name, 1000 + n).await);
        }
        added.sort();
        figure("an addition, median of 50", added[25], Duration::from_secs(1));
        figure("an addition, the slowest of 50", added[49], Duration::from_secs(2));
        self.delete("s0").await;
        let time = self.world.until("s0 is gone", || self.world.service("s0").is_none()).await;
        figure("a deletion", time, Duration::from_secs(1));
    }

    /// A restart takes the history away that a watch would go on from, and refuses everybody for a moment.
    async fn restarts(&self) {
        for (n, round) in (0..).zip(["first", "second", "third"]) {
            self.kill("apiserver", "-KILL");
            sleep(Duration::from_millis(500)).await;
            self.until_ready().await;
            self.add(&format!("after-{round}"), 1100 + n).await;
            let time = self.world.seen(&format!("after-{round}"), 1100 + n).await;
            figure(&format!("an addition after a restart, {round} time"), time, Duration::from_secs(2));
            assert_eq!(self.world.service("s1"), Some(1001));
        }
    }

    async fn pause(&self) {
        self.kill("apiserver", "-STOP");
        sleep(Duration::from_secs(10)).await;
        assert_eq!(self.world.service("s1"), Some(1001));
        self.kill("apiserver", "-CONT");
        self.add("after-pause", 1110).await;
        figure("an addition after a pause of 10 s", self.world.seen("after-pause", 1110).await, Duration::from_secs(2));
    }

    /// etcd comes back with the data of some time ago, and with it the API server.
    async fn backup(&self) {
        let (data, copy) = (self.folder.join("etcd"), self.folder.join("etcd.backup"));
        let all = ["etcd", "apiserver"];
        self.hold(&all).await;
        copy_folder(&data, &copy);
        self.release(&all).await;
        self.add("lost", 1120).await;
        self.world.seen("lost", 1120).await;
        self.hold(&all).await;
        std::fs::remove_dir_all(&data).unwrap();
        std::fs::rename(&copy, &data).unwrap();
        self.release(&all).await;
        let time = self.world.until("what the backup lacks is gone", || self.world.service("lost").is_none()).await;
        figure("a restored backup", time, Duration::from_secs(60));
        self.add("after-backup", 1121).await;
        figure("an addition after it", self.world.seen("after-backup", 1121).await, Duration::from_secs(2));
    }

    /// Where nothing happens nothing is doubted, and it costs little.
    #[expect(clippy::print_stderr, reason = "figures of a test")]
    async fn idle(&self) {
        // Until what the tests before led to is over.
        sleep(Duration::from_secs(5)).await;
        let counted = |counter: &str, label: &str| self.world.counted(counter, label);
        let silent = counted("watch_ends_total", "silent");
        let (relists, bytes, closed) =
            (counted("relists_total", ""), counted("read_bytes_total", ""), counted("watch_ends_total", "closed"));
        sleep(Duration::from_secs(60)).await;
        let compared = counted("checks_total", "versions");
        eprintln!(
            "a minute without changes: {} watches ended in their time, {} octets were read for {} objects, {compared} \
             comparisons so far",
            counted("watch_ends_total", "closed") - closed,
            counted("read_bytes_total", "") - bytes,
            counted("objects", ""),
        );
        assert_eq!(counted("relists_total", "") - relists, 0);
        assert_eq!(counted("watch_ends_total", "silent") - silent, 0);
        assert!(counted("checks_total", "equal") > 0 && compared > 0);
    }

    async fn add(&self, name: &str, n: u16) {
        let mut object = service(name, n);
        object["spec"]["ports"] = json!([{"port": 80}]);
        let answer = self.ask("POST", "/api/v1/namespaces/d/services", &object.to_string()).await;
        assert_eq!(answer["metadata"]["name"], name, "{answer}");
    }

    async fn delete(&self, name: &str) {
        self.ask("DELETE", &format!("/api/v1/namespaces/d/services/{name}"), "").await;
    }

    /// What the API server says, whether or not it is content.
    async fn ask(&self, method: &str, path: &str, body: &str) -> Value {
        let request = http::Request::builder().method(method).uri(path).header("content-type", "application/json");
        let request = request.body(Body::from(body.to_owned().into_bytes())).unwrap();
        match self.admin.send(request).await {
            Ok(answer) => {
                let text = answer.into_body().collect_bytes().await.unwrap_or_default();
                serde_json::from_slice(&text).unwrap_or_default()
            }
            Err(e) => Value::from(e.to_string()),
        }
    }

    async fn until_ready(&self) {
        for _ in 0..600 {
            let request = http::Request::get("/readyz").body(Body::empty()).unwrap();
            if self.admin.send(request).await.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
        panic!("the API server does not come back");
    }

    fn kill(&self, name: &str, signal: &str) {
        let pid = std::fs::read_to_string(self.folder.join(format!("{name}.pid"))).unwrap();
        assert!(Command::new("kill").args([signal, pid.trim()]).status().unwrap().success());
    }

    async fn hold(&self, names: &[&str]) {
        for name in names {
            std::fs::write(self.folder.join(format!("{name}.hold")), "").unwrap();
            self.kill(name, "-KILL");
        }
        sleep(Duration::from_secs(1)).await;
    }

    async fn release(&self, names: &[&str]) {
        for name in names {
            std::fs::remove_file(self.folder.join(format!("{name}.hold"))).unwrap();
        }
        self.until_ready().await;
    }
}

fn copy_folder(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-r").args([from, to]).status().unwrap().success());
}
