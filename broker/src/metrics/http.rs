//! The few words of HTTP that a scrape and a probe need: one request on a connection, and its answer.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::Site;

/// Connections at a time. Those behind them wait.
const CONNECTIONS_MAX: usize = 16;
/// Bytes of a request, which has no body.
const REQUEST_BYTES_MAX: usize = 8 << 10;
/// For a request to come, and for its answer to be taken.
const PATIENCE: Duration = Duration::from_secs(10);

const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT_TYPE: &str = "text/plain; charset=utf-8";

/// Answers until `stopping`.
pub(super) async fn serve(listener: TcpListener, site: Arc<Site>, stopping: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stopping.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((socket, from)) => {
                    let site = Arc::clone(&site);
                    connections.spawn(async move {
                        let answered = timeout(PATIENCE, answer(socket, site)).await.map_err(io::Error::from).flatten();
                        if let Err(err) = answered {
                            tracing::debug!(%from, %err, "a request for metrics is not answered");
                        }
                    });
                }
                Err(err) => {
                    tracing::warn!(%err, "accept a request for metrics");
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
    connections.shutdown().await;
}

struct Answer {
    status: &'static str,
    kind: &'static str,
    body: String,
}

impl Answer {
    fn text(status: &'static str, body: impl Into<String>) -> Self {
        Self { status, kind: TEXT_TYPE, body: body.into() + "\n" }
    }
}

async fn answer(mut socket: TcpStream, site: Arc<Site>) -> io::Result<()> {
    let request = read(&mut socket).await?;
    let mut words = request.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let answer = match (method, target.split('?').next().unwrap_or_default()) {
        ("GET" | "HEAD", "/live") => Answer::text("200 OK", "live"),
        ("GET" | "HEAD", "/ready") => match site.readiness().await {
            Ok(()) => Answer::text("200 OK", "ready"),
            Err(why) => Answer::text("503 Service Unavailable", format!("not ready: {why}")),
        },
        // Java answers any path with its metrics.
        ("GET" | "HEAD", path) if path.starts_with('/') => metrics(site).await,
        _ => Answer::text("405 Method Not Allowed", "metrics are asked for with GET"),
    };
    let Answer { status, kind, body } = answer;
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    socket.write_all(head.as_bytes()).await?;
    if method != "HEAD" {
        socket.write_all(body.as_bytes()).await?;
    }
    socket.shutdown().await
}

async fn metrics(site: Arc<Site>) -> Answer {
    // Many topics take a while.
    let text = spawn_blocking(move || site.registry.load_full().map(|registry| registry.text())).await;
    match text {
        Ok(Some(body)) => Answer { status: "200 OK", kind: METRICS_TYPE, body },
        Ok(None) => Answer::text("503 Service Unavailable", "the broker starts: it has no figures yet"),
        Err(_) => Answer::text("500 Internal Server Error", "reading the figures panicked"),
    }
}

/// The first line of a request, once all of its lines are there.
async fn read(socket: &mut TcpStream) -> io::Result<String> {
    let mut bytes = Vec::new();
    while !bytes.windows(4).any(|end| end == b"\r\n\r\n") {
        if bytes.len() >= REQUEST_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is too long"));
        }
        let mut chunk = [0; 1024];
        let count = socket.read(&mut chunk).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&chunk[..count]);
    }
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
