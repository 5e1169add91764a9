//! Raw packets, and dialogues on one TCP connection.

use super::ask::{Ask, framed, octets};
use super::shown::packet;
use serde_json::{Value, json};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{sleep, timeout};

/// What a packet, in hex, gets as its reply over UDP.
pub(super) async fn raw(port: u16, hex: &str, local: bool) -> io::Result<Value> {
    let socket = UdpSocket::bind("0.0.0.0:0").await?;
    socket.send_to(&octets(hex), ("127.0.0.1", port)).await?;
    let mut buffer = vec![0; 65_535];
    Ok(match timeout(RAW, socket.recv_from(&mut buffer)).await {
        Ok(Ok((n, _))) => packet(&buffer[..n], local),
        _ => json!("none"),
    })
}

/// Plays the actions; a result for each `ask` and `read`, and `closed` where the connection was.
pub(super) async fn stream(port: u16, actions: &[String], local: bool) -> io::Result<Value> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let mut out = Vec::new();
    for action in actions {
        let (word, rest) = action.split_once(' ').unwrap_or((action, ""));
        if act(&mut stream, word, rest).await.is_err() {
            out.push(json!("closed"));
            continue;
        }
        match word {
            "ask" => out.push(read(&mut stream, PATIENCE, local).await),
            "read" => out.push(read(&mut stream, rest.parse().map_or(PATIENCE, Duration::from_secs_f64), local).await),
            _ => {}
        }
    }
    Ok(out.into())
}

async fn act(stream: &mut TcpStream, word: &str, rest: &str) -> io::Result<()> {
    let question = || framed(&Ask::parse(rest).message.to_wire());
    match word {
        "ask" | "send" => stream.write_all(&question()).await,
        "slow" => {
            for byte in question() {
                stream.write_all(&[byte]).await?;
                sleep(Duration::from_millis(20)).await;
            }
            Ok(())
        }
        "hex" => stream.write_all(&octets(rest)).await,
        "wait" => {
            sleep(Duration::from_secs_f64(rest.parse().expect("seconds"))).await;
            Ok(())
        }
        "half" => stream.shutdown().await,
        "read" => Ok(()),
        other => panic!("unknown action {other}"),
    }
}

/// The next message; `closed` or `none` where there is none.
async fn read(stream: &mut TcpStream, patience: Duration, local: bool) -> Value {
    let message = async {
        let mut wire = vec![0; stream.read_u16().await?.into()];
        stream.read_exact(&mut wire).await?;
        Ok::<Vec<u8>, io::Error>(wire)
    };
    match timeout(patience, message).await {
        Ok(Ok(wire)) => packet(&wire, local),
        Ok(Err(_)) => json!("closed"),
        Err(_) => json!("none"),
    }
}

const PATIENCE: Duration = Duration::from_millis(2500);
const RAW: Duration = Duration::from_millis(700);
