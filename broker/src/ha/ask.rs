//! Where the master's log ends, and whether it is the one that ours is a copy of: it is asked for the last record that we have.
//!
//! Java's slaves do not ask, and go on copying behind messages that their master never had.

use std::time::Duration;

use bytes::Bytes;
use remoting::body::{KvTable, fastjson};
use remoting::client::Client;
use remoting::connection::{CallError, Response};
use remoting::header::NoHeader;
use remoting::protocol::ResponseCode;
use remoting::protocol::admin::GetBrokerRuntimeInfo;
use remoting::protocol::query::ViewMessageById;
use remoting::types::PhysicalOffset;

use super::follow::Broken;

const TIMEOUT: Duration = Duration::from_secs(5);

/// A master that is asked about its log.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) client: &'a Client,
    /// Where it serves clients.
    pub(super) addr: &'a str,
}

/// First byte kept, and end, of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(super) min: PhysicalOffset,
    pub(crate) end: PhysicalOffset,
}

/// Those of the broker at `addr`; `None`: it does not tell.
pub(crate) async fn bounds(client: &Client, addr: &str) -> Result<Option<Bounds>, CallError> {
    let answer = client.call(addr, &GetBrokerRuntimeInfo {}, Bytes::new(), TIMEOUT).await?;
    let (_, body) = answer.success::<NoHeader>()?;
    let table = fastjson::read::<KvTable>(&body).unwrap_or_default().table;
    let offset = |key: &str| table.get(key)?.parse().ok().map(PhysicalOffset);
    let (min, end) = (offset("commitLogMinOffset"), offset("commitLogMaxOffset"));
    Ok(min.zip(end).map(|(min, end)| Bounds { min, end }))
}

impl Asked<'_> {
    /// # Errors
    /// [`Broken::Differs`], [`Broken::Missing`]: the master's log is another one than that which has `record` at `at`. Others:
    /// nobody knows.
    pub(super) async fn is_the_same(&self, at: PhysicalOffset, record: &[u8]) -> Result<(), Broken> {
        match self.record_at(at).await? {
            Some(theirs) if *theirs == *record => Ok(()),
            Some(_) => Err(Broken::Differs { at, master: self.addr.to_owned() }),
            None => {
                let Bounds { min, end } = self.bounds().await?;
                Err(Broken::Missing { at, master: self.addr.to_owned(), min, end })
            }
        }
    }

    /// The record that begins there, if one does.
    pub(super) async fn record_at(&self, offset: PhysicalOffset) -> Result<Option<Bytes>, Broken> {
        let request = ViewMessageById { topic: None, offset };
        let answer = self.client.call(self.addr, &request, Bytes::new(), TIMEOUT).await;
        match answer.and_then(Response::success::<NoHeader>) {
            Ok((_, record)) => Ok(Some(record)),
            Err(CallError::Refused { code: ResponseCode::SYSTEM_ERROR, .. }) => Ok(None),
            Err(cause) => Err(self.unanswered(cause)),
        }
    }

    pub(super) async fn bounds(&self) -> Result<Bounds, Broken> {
        let bounds = bounds(self.client, self.addr).await.map_err(|cause| self.unanswered(cause))?;
        bounds.ok_or_else(|| Broken::NoBounds { master: self.addr.to_owned() })
    }

    fn unanswered(&self, cause: CallError) -> Broken {
        Broken::NoAnswer { master: self.addr.to_owned(), cause }
    }
}
