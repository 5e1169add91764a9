//! Tokens that rotate and certificates that are renewed while the server runs.

use super::world::{World, service};
use crate::connect::Place;
use crate::watch::{Pace, RESYNC};
use serde_json::json;
use std::fs;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use testkit::api::Certificates;

/// How long it may take after a change on disk.
const SOON: Duration = Duration::from_secs(5);

fn file(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).display().to_string()
}

/// An API server that speaks TLS with these certificates, and what leads to it through the files in `folder`.
async fn tls_server(certificates: &Certificates, folder: &Path) -> testkit::Api {
    let server = testkit::Api::start([service("old", 7)]).await.unwrap();
    server.down().await;
    server.use_tls(certificates);
    server.up().await.unwrap();
    certificates.write(folder).unwrap();
    server
}

/// Follows while the authority changes, and with it all that it signed.
async fn renewal(world: &World, folder: &Path) {
    for n in 1..3 {
        let renewed = Certificates::new();
        world.server.down().await;
        world.server.use_tls(&renewed);
        world.server.put(service("new", n));
        world.server.up().await.unwrap();
        // In two steps, as files are written: what does not fit together is not used.
        let half = tempfile::tempdir().unwrap();
        renewed.write(half.path()).unwrap();
        fs::copy(half.path().join("client.crt"), folder.join("client.crt")).unwrap();
        tokio::time::sleep(Duration::from_millis(1200)).await;
        assert_eq!(world.service("old"), Some(7));
        renewed.write(folder).unwrap();
        let time = world.seen("new", n).await;
        assert!(time < SOON, "{time:?}");
    }
}

#[tokio::test]
async fn certificates_of_an_endpoint_are_renewed() {
    let folder = tempfile::tempdir().unwrap();
    let server = tls_server(&Certificates::new(), folder.path()).await;
    let files = ["client.crt", "client.key", "ca.crt"].map(|name| file(&folder, name));
    let place = Place::Endpoint { url: server.url(), tls: Some(files) };
    let world = World::at(server, place, Pace::new(RESYNC));
    world.follow(renewal(&world, folder.path())).await;
}

#[tokio::test]
async fn certificates_of_a_kubeconfig_are_renewed() {
    let folder = tempfile::tempdir().unwrap();
    let server = tls_server(&Certificates::new(), folder.path()).await;
    let place = kubeconfig(
        &folder,
        &json!({"server": server.url(), "certificate-authority": file(&folder, "ca.crt")}),
        &json!({"client-certificate": file(&folder, "client.crt"), "client-key": file(&folder, "client.key")}),
    );
    let world = World::at(server, place, Pace::new(RESYNC));
    world.follow(renewal(&world, folder.path())).await;
}

#[tokio::test]
async fn a_token_rotates() {
    let folder = tempfile::tempdir().unwrap();
    let server = testkit::Api::start([service("old", 7)]).await.unwrap();
    let place = kubeconfig(&folder, &json!({"server": server.url()}), &json!({"tokenFile": file(&folder, "token")}));
    fs::write(folder.path().join("token"), "first").unwrap();
    server.fault(|f| f.token = "first".into());
    let world = World::at(server, place, Pace::new(RESYNC));
    let test = async {
        for (n, token) in [(1, "second"), (2, "third")] {
            world.server.fault(|f| f.token = token.into());
            world.server.drop_connections();
            world.server.put(service("new", n));
            tokio::time::sleep(Duration::from_millis(500)).await;
            assert_eq!(world.service("old"), Some(7));
            fs::write(folder.path().join("token"), token).unwrap();
            let time = world.seen("new", n).await;
            assert!(time < SOON, "{time:?}");
        }
    };
    world.follow(test).await;
}

fn kubeconfig(folder: &TempDir, cluster: &serde_json::Value, user: &serde_json::Value) -> Place {
    let path = file(folder, "kubeconfig");
    let text = json!({"apiVersion": "v1", "kind": "Config", "current-context": "t",
        "clusters": [{"name": "t", "cluster": cluster}], "users": [{"name": "t", "user": user}],
        "contexts": [{"name": "t", "context": {"cluster": "t", "user": "t"}}]});
    fs::write(&path, text.to_string()).unwrap();
    Place::Kubeconfig { file: path, context: None }
}
