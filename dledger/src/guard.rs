//! Where requests of other members arrive.

use std::io;
use std::sync::Arc;

use futures_util::{Stream, StreamExt};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, StreamAppendError, TransferLeaderError, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use parking_lot::Mutex;
use tokio::io::BufWriter;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::Instant;
use tokio_util::codec::{FramedRead, LengthDelimitedCodec};

use crate::disk::Disk;
use crate::fill::Receiver;
use crate::group::Timing;
use crate::quarantine::{Quarantine, Stand};
use crate::types::{Id, Raft, Types, Vote};

/// What entries of a stream led to.
pub(crate) type Appended = Result<Option<Id>, StreamAppendError<Types>>;

/// Answers other members, as far as the quarantine and the disk of this one let it.
#[derive(Clone)]
pub struct Guard {
    raft: Raft,
    quarantine: Arc<Quarantine>,
    timing: Timing,
    disk: Arc<Disk>,
    heard: Arc<Heard>,
    receiver: Arc<Receiver>,
}

/// The newest leader that was heard of, and when that was last.
#[derive(Default)]
struct Heard(Mutex<Option<(Vote, Instant)>>);

impl Heard {
    fn note(&self, vote: Vote) {
        let mut heard = self.0.lock();
        if heard.is_none_or(|(newest, _)| vote >= newest) {
            *heard = Some((vote, Instant::now()));
        }
    }
}

impl Guard {
    pub(crate) fn new(
        raft: Raft,
        quarantine: Arc<Quarantine>,
        timing: Timing,
        disk: Arc<Disk>,
        receiver: Arc<Receiver>,
    ) -> Self {
        Self { raft, quarantine, timing, disk, heard: Arc::default(), receiver }
    }

    /// Takes the files that member `from` sends.
    pub(crate) async fn fill(
        &self,
        from: u64,
        read: FramedRead<OwnedReadHalf, LengthDelimitedCodec>,
        write: BufWriter<OwnedWriteHalf>,
    ) -> io::Result<()> {
        Arc::clone(&self.receiver).receive(from, read, write).await
    }

    pub(crate) fn timing(&self) -> Timing {
        self.timing
    }

    /// The newest leader that this member has heard of since its start, and when that was last.
    pub(crate) fn heard(&self) -> Option<(Vote, Instant)> {
        *self.heard.0.lock()
    }

    pub(crate) fn raft(&self) -> &Raft {
        &self.raft
    }

    pub(crate) fn number(&self) -> u64 {
        *self.raft.node_id()
    }

    /// A member that ends answers nobody any more.
    fn check(&self) -> io::Result<()> {
        if self.receiver.ending.is_cancelled() { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }

    /// How far this member is.
    pub(crate) async fn stand(&self) -> io::Result<Stand> {
        self.check()?;
        // Read first: a member that is out of it by the time of the rest only seems to know less.
        let is_quarantined = !self.quarantine.is_over();
        let is_slow = self.disk.is_slow();
        let stand = self.raft.with_raft_state(move |state| Stand {
            vote: *state.vote_ref(),
            agreed: state.local_committed().copied(),
            last: state.log_ids.last().copied(),
            is_quarantined,
            is_slow,
        });
        stand.await.map_err(io::Error::other)
    }

    pub(crate) async fn vote(&self, request: VoteRequest<Types>) -> io::Result<VoteResponse<Types>> {
        self.check()?;
        if !self.quarantine.may_vote_for(request.last_log_id).await {
            return self.no_vote().await;
        }
        self.raft.vote(request).await.map_err(io::Error::other)
    }

    pub(crate) async fn pre_vote(&self, request: VoteRequest<Types>) -> io::Result<VoteResponse<Types>> {
        self.check()?;
        if !self.quarantine.may_vote_for(request.last_log_id).await {
            return self.no_vote().await;
        }
        self.raft.pre_vote(request).await.map_err(io::Error::other)
    }

    /// It does not say how long its log is, so as not to hold candidates back that others may elect.
    async fn no_vote(&self) -> io::Result<VoteResponse<Types>> {
        Ok(VoteResponse::new(self.stand().await?.vote, None, false))
    }

    pub(crate) async fn append_entries(
        &self,
        mut request: AppendEntriesRequest<Types>,
    ) -> io::Result<AppendEntriesResponse<Types>> {
        self.check()?;
        self.heard.note(request.vote);
        let is_all = self.quarantine.admit(&mut request).await;
        let last = request.entries.last().map(|entry| entry.id).or(request.prev_log_id);
        match self.raft.append_entries(request).await.map_err(io::Error::other)? {
            AppendEntriesResponse::Success if !is_all => Ok(AppendEntriesResponse::PartialSuccess(last)),
            answer => Ok(answer),
        }
    }

    pub(crate) fn stream_append(
        &self,
        requests: impl Stream<Item = AppendEntriesRequest<Types>> + Send + 'static,
    ) -> impl Stream<Item = io::Result<Appended>> + Send {
        let (quarantine, heard) = (Arc::clone(&self.quarantine), Arc::clone(&self.heard));
        let ended = self.receiver.ending.clone().cancelled_owned();
        let admitted = requests.take_until(ended).then(move |mut request| {
            let quarantine = Arc::clone(&quarantine);
            heard.note(request.vote);
            async move {
                quarantine.admit(&mut request).await;
                request
            }
        });
        self.raft.stream_append(admitted).map(|answer| answer.map_err(io::Error::other))
    }

    /// In quarantine, and with a slow disk, this member does not take the lead.
    pub(crate) async fn handle_transfer_leader(
        &self,
        request: TransferLeaderRequest<Types>,
    ) -> io::Result<TransferLeaderResponse<Types>> {
        self.check()?;
        let takes_none = !self.quarantine.is_over() || self.disk.is_slow();
        if takes_none && *request.to_node_id() == self.number() {
            let (expected, actual) = (*request.from_leader(), self.stand().await?.vote);
            return Ok(Err(TransferLeaderError::VoteChanged { expected, actual }));
        }
        self.raft.handle_transfer_leader(request).await.map_err(io::Error::other)
    }

    /// Asks to be elected in the place of the leader that has this vote, and is gone.
    pub(crate) async fn succeed(&self, leader: Vote) -> io::Result<()> {
        self.check()?;
        if self.quarantine.is_over() {
            let request = TransferLeaderRequest::new(leader, self.number(), None);
            // Refused if another one has asked meanwhile.
            let _ = self.raft.handle_transfer_leader(request).await.map_err(io::Error::other)?;
        }
        Ok(())
    }
}
