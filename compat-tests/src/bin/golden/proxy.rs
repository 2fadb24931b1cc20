//! Forwards frames between stock peers and Java, and keeps what is new or says more.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use crate::frame::Frame;
use crate::{BEHIND, PROXY};

/// Request codes by connection, direction and opaque, until the answer comes.
type Asked = Arc<Mutex<HashMap<(bool, i64), String>>>;

/// A frame and its fullness.
type Kept = (usize, Vec<u8>);

#[derive(Clone, Default)]
pub(crate) struct Recorder {
    frames: Arc<Mutex<BTreeMap<String, Kept>>>,
}

impl Recorder {
    /// Proxies one port of Java's; ends with the process.
    pub(crate) async fn listen(&self, port: u16) -> Result<()> {
        let listener = TcpListener::bind((PROXY, port)).await.with_context(|| format!("listen on {PROXY}:{port}"))?;
        let recorder = self.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                // Not there yet: the peer tries again.
                if let Ok(far) = TcpStream::connect((BEHIND, port)).await {
                    recorder.connect(near, far);
                }
            }
        });
        Ok(())
    }

    /// Recorded frames by file name.
    pub(crate) fn kept(&self) -> BTreeMap<String, Vec<u8>> {
        let frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        frames.iter().map(|(name, (_, bytes))| (name.clone(), bytes.clone())).collect()
    }

    fn connect(&self, near: TcpStream, far: TcpStream) {
        let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
        let asked = Asked::default();
        tokio::spawn(self.clone().forward(near_read, far_write, Arc::clone(&asked), true));
        tokio::spawn(self.clone().forward(far_read, near_write, asked, false));
    }

    async fn forward(
        self,
        mut from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
        asked: Asked,
        towards_java: bool,
    ) -> Result<()> {
        loop {
            let mut length = [0; 4];
            from.read_exact(&mut length).await?;
            let mut bytes = length.to_vec();
            bytes.resize(4 + u32::from_be_bytes(length) as usize, 0);
            from.read_exact(&mut bytes[4..]).await?;
            self.note(&bytes, &asked, towards_java)?;
            to.write_all(&bytes).await?;
        }
    }

    fn note(&self, bytes: &[u8], asked: &Asked, towards_java: bool) -> Result<()> {
        let frame = Frame::of(bytes)?;
        let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
        if !frame.response {
            let kind = format!("{}{}", frame.code, if frame.binary { ".binary" } else { "" });
            self.keep(format!("{kind}.request"), frame.fullness, bytes);
            if !frame.one_way {
                asked.insert((towards_java, frame.opaque), kind);
            }
        } else if let Some(kind) = asked.remove(&(!towards_java, frame.opaque)) {
            // One answer of success and one of each other code: a route that does not exist is as telling as one that does.
            let refused = if frame.code == 0 { String::new() } else { format!(".code{}", frame.code) };
            let binary = if frame.binary && !kind.ends_with(".binary") { ".in-binary" } else { "" };
            self.keep(format!("{kind}{refused}{binary}.response"), frame.fullness, bytes);
        }
        Ok(())
    }

    /// The first frame of a name stays, unless a later one has more fields.
    fn keep(&self, name: String, fullness: usize, bytes: &[u8]) {
        let mut frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        if frames.get(&name).is_none_or(|(kept, _)| *kept < fullness) {
            frames.insert(name, (fullness, bytes.to_vec()));
        }
    }
}
