//! A member that lost its files, or the end of its log, comes back under its number.
//!
//! **What is dangerous.** It has forgotten what it promised: entries that it acknowledged, and votes. If it voted as an empty
//! member does, it could help somebody into the lead who lacks entries that were agreed on because it had them. If it
//! acknowledged what a leader sends that was deposed by its own, forgotten vote, two leaders could have different entries
//! agreed on in the same place.
//!
//! **The rule.** A member that starts without a log is in quarantine, which a [mark](crate::files::Files::begin_quarantine)
//! beside the log keeps up over restarts. It neither votes nor asks to be elected, and asks all others how far they are:
//!
//! 1. At first it takes only entries that their leader says are agreed on. Its acknowledgement decides nothing then.
//! 2. Once *all* other voters have answered, none has a higher vote than the one of them who leads, and at least half of the
//!    voters are not in quarantine: it waits until it has heard that leader and has what was agreed on in its reign by then, so
//!    that it knows who belongs to the group. Now it acknowledges all that it is sent, as any member. It still does not vote.
//! 3. Once it has the entry that was the last of that leader when it answered, the quarantine is over.
//!
//! If instead all others answer that they have no entries either, nothing was ever agreed on: the quarantine is over, and the
//! group may be founded. A learner has nothing to forget that counts: answers of half of the voters will do, and what was
//! agreed on.
//!
//! **Why that is enough.** Whoever was given a forgotten vote has kept it himself before he asked for it, so the highest vote of
//! all others is at least as high; from (2) on this member has that of the leader, and helps nobody with a lower one. One who
//! asked and has lost his files since cannot win with what he was given; if he had won before, one of the majority that
//! elected him would have told of that vote: any majority has a member in the half that is not in quarantine. So the leader is
//! the newest one, and its log has all that was agreed on in earlier reigns; and of its own reign, all that this member ever
//! acknowledged was in its log before it answered. With that log, this member votes as if it had never lost it.
//!
//! **The end of the log alone.** Under `ASYNC_FLUSH` a member acknowledges what is in memory. If its machine goes down, it keeps
//! its votes, which are on disk, and not the last entries it acknowledged. Members note [which run](crate::files::Life) of the
//! operating system they live in; one that was not closed and wakes up in another is in quarantine, too. It takes and acknowledges
//! entries at once, as it knows whom it voted for, and is out of it once it has the last entry of a leader with the newest vote
//! that it knows of itself: that one was elected without it, or before it crashed, and has all that this member acknowledged. If
//! nobody leads, and those who lost nothing are too few to elect anybody, no leader can come of waiting; once all voters have
//! told so, whoever has most of the log votes and is elected. The others vote for nobody who has less, until they have as much:
//! what is left on one disk may have been agreed on. What most of a group held in memory alone when their machines went
//! down at the same time is lost by any rule: that is what `ASYNC_FLUSH` means.
//!
//! **What it costs.** A group is founded once all its members are there. With two of three members wiped or gone nobody new is
//! elected until one with the log returns: nobody could know that he has everything. Who knows that nothing is missing, as
//! the one that is gone led nobody since, may remove the mark of a member that is stopped, once it is filled.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use openraft::raft::AppendEntriesRequest;
use parking_lot::Mutex;
use store::{Confirmation, RaftLog};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};
use tracing::{error, info, warn};

use crate::files::{Files, Life, Loss};
use crate::runtime;
#[cfg(test)]
use crate::sim::Bug;
use crate::types::{Id, Member, Raft, Types, Vote, entry_id, log_id};
use remoting::types::MemberNumber;

/// Longest wait for an answer of another member.
const PATIENCE: Duration = Duration::from_secs(1);
/// Between two rounds of questions.
const TURN: Duration = Duration::from_millis(200);
/// Between two looks at how far the log is.
const LOOK: Duration = Duration::from_millis(20);
/// A quarantine that nothing ends is told of after so long.
const LONG: Duration = Duration::from_secs(30);
/// An answer to entries of which none may be taken yet waits so long: the leader sends them again at once.
const NOT_YET: Duration = Duration::from_millis(10);

/// How far a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stand {
    pub(crate) vote: Vote,
    /// Agreed on, as far as it knows.
    pub(crate) agreed: Option<Id>,
    pub(crate) last: Option<Id>,
    /// It does not know any more what it had.
    pub(crate) is_quarantined: bool,
    /// Its disk keeps it waiting.
    pub(crate) is_slow: bool,
}

impl Stand {
    /// Nothing but the entry that founds a group, which nobody has agreed on by itself.
    fn is_new(&self) -> bool {
        self.last.is_none_or(|last| last.index == 0 && last.leader_id.term == 0)
    }

    /// Whether member `number`, whose stand this is, leads.
    pub(crate) fn leads(&self, number: u64) -> bool {
        self.vote.is_committed() && self.vote.leader_id().node_id == number
    }
}

/// A way to ask other members how far they are.
pub trait Inquiry: Clone + Send + Sync + 'static {
    /// # Errors
    /// It does not answer.
    fn stand(&self, number: u64, member: &Member) -> impl Future<Output = io::Result<Stand>> + Send;

    /// Ends the streams of entries to members that lack some before entry `index`: the log cannot wait for them.
    fn leave_behind(&self, index: u64);
}

/// What a member may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Takes what was agreed on.
    Forgetful,
    /// Takes all that it is sent.
    Filling,
    /// The same, and votes for members whose log reaches as far as this entry.
    Yielding(Id),
    /// All that a member does.
    Over,
}

/// Voters, in two sets while one gives way to the other.
type Voters = Vec<BTreeSet<u64>>;

/// What the others have told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proof {
    /// There is no group yet.
    New,
    /// Nobody has a higher vote. The members are known to who has what was agreed on, and nothing that was acknowledged lies
    /// behind `last`.
    UpTo { vote: Vote, agreed: Id, last: Id },
    /// Nobody leads, and nobody can without those who lost the end of their log. `most`: who has most of it, if it is another
    /// member, and up to where.
    Nobody { most: Option<(u64, Id)> },
}

#[derive(Debug)]
pub(crate) struct Quarantine {
    files: Arc<Files>,
    log: RaftLog,
    /// Why there is one, if there is.
    loss: Option<Loss>,
    stage: Mutex<Stage>,
    ended: Notify,
    /// Who is to make the group, while the log does not say who belongs to it.
    founders: watch::Sender<BTreeMap<u64, Member>>,
    /// Longest wait for its end before a vote is refused.
    soon: Duration,
}

impl Quarantine {
    /// Begins one if the log or its end is lost, or goes on with the one that was not over. `soon`: longest wait for its end before a
    /// vote is refused.
    ///
    /// # Errors
    /// Failing I/O, or the vote alone is lost.
    pub(crate) fn open(files: Arc<Files>, log: RaftLog, soon: Duration) -> io::Result<Self> {
        let last = log.last();
        if last.is_some_and(|last| last.index > 0) && files.vote().is_none() {
            let why =
                "the log is there, but the vote beside it is gone: remove both and let the group fill the member anew";
            return Err(io::Error::other(why));
        }
        let loss = match last {
            None => Some(Loss::Log),
            Some(_) => files.quarantine()?.or(lost_tail(&files, &log)?),
        };
        if let Some(loss) = loss {
            files.begin_quarantine(loss)?;
        }
        // Only now: a crash before this is seen by the next start, too.
        if let Some(life) = Life::begin(log.is_synchronous()) {
            files.save_life(&life)?;
        }
        let stage = match loss {
            None => Stage::Over,
            Some(Loss::Tail) => Stage::Filling,
            Some(Loss::Log) => Stage::Forgetful,
        };
        #[cfg(test)]
        let stage = if Bug::NoQuarantine.is_in() { Stage::Over } else { stage };
        let (stage, founders) = (Mutex::new(stage), watch::Sender::default());
        Ok(Self { files, log, loss, stage, ended: Notify::new(), founders, soon })
    }

    pub(crate) fn is_over(&self) -> bool {
        *self.stage.lock() == Stage::Over
    }

    /// Whether it takes all that it is sent, and waits until that is enough.
    pub(crate) fn is_filling(&self) -> bool {
        matches!(*self.stage.lock(), Stage::Filling | Stage::Yielding(_))
    }

    /// Returns once it is.
    pub(crate) async fn over(&self) {
        let mut ended = pin!(self.ended.notified());
        // Before it is looked at: its end is not missed.
        ended.as_mut().enable();
        if !self.is_over() {
            ended.await;
        }
    }

    /// Whether a candidate whose log ends with `last` may be voted for, now or soon: who founds a group asks for votes at once,
    /// and only once.
    pub(crate) async fn may_vote_for(&self, last: Option<Id>) -> bool {
        if self.is_over() || self.yields_to(last) {
            return true;
        }
        // The others are asked now.
        self.founders.send_modify(|_| {});
        timeout(self.soon, self.over()).await.is_ok() || self.yields_to(last)
    }

    fn yields_to(&self, last: Option<Id>) -> bool {
        matches!(*self.stage.lock(), Stage::Yielding(most) if last >= Some(most))
    }

    /// Tells who is to make the group.
    pub(crate) fn tell_founders(&self, members: &BTreeMap<u64, Member>) {
        self.founders.send_replace(members.clone());
    }

    /// Leaves of a request what may be taken; whether that is all.
    pub(crate) async fn admit(&self, request: &mut AppendEntriesRequest<Types>) -> bool {
        if *self.stage.lock() != Stage::Forgetful {
            return true;
        }
        let end = request.leader_commit.map_or(0, |agreed| agreed.index + 1);
        let agreed = request.entries.partition_point(|entry| entry.id.index < end);
        if agreed == request.entries.len() {
            return true;
        }
        request.entries.truncate(agreed);
        if agreed == 0 {
            sleep(NOT_YET).await;
        }
        false
    }

    /// Asks until it is over.
    pub(crate) async fn sit_out(self: Arc<Self>, raft: Raft, network: impl Inquiry) {
        if self.is_over() {
            return;
        }
        match self.loss {
            Some(Loss::Tail) => warn!(
                "the machine went down with what was in memory (flushDiskType=ASYNC_FLUSH): this member does not vote until it has \
                 everything again"
            ),
            _ => info!(
                "this member has no log, or was not filled yet: it does not vote until it knows that it has everything"
            ),
        }
        if let Err(error) = self.until_harmless(&raft, &network).await {
            error!(%error, "the quarantine of this member does not end before its next start");
            return;
        }
        raft.runtime_config().elect(true);
        *self.stage.lock() = Stage::Over;
        self.ended.notify_waiters();
        info!("this member has everything that it may have had: it votes from now on");
    }

    async fn until_harmless(&self, raft: &Raft, network: &impl Inquiry) -> io::Result<()> {
        let own = *raft.node_id();
        let mut founders = self.founders.subscribe();
        let mut proof: Option<(Voters, Proof)> = None;
        let mut told_at = Some(Instant::now() + LONG);
        loop {
            // Looked at before the members are, who are those of that entry or of a later one then.
            let has_agreed =
                matches!(&proof, Some((_, Proof::UpTo { vote, agreed, .. })) if self.has(agreed) && self.follows(vote));
            let (voters, members) = self.electorate(raft).await?;
            proof = proof.filter(|(asked, proof)| *asked == voters && self.is_of_use(proof));
            let has_agreed = has_agreed && proof.is_some();
            if proof.is_none() {
                let others = members.iter().filter(|(number, _)| **number != own);
                let answers = ask(network, others).await;
                proof = self.prove(own, &voters, &answers).map(|proof| (voters, proof));
                if proof.is_none() && told_at.is_some_and(|at| at <= Instant::now()) {
                    told_at = None;
                    let silent: Vec<_> =
                        members.keys().filter(|number| **number != own && !answers.contains_key(number)).collect();
                    warn!(?silent, "this member may not vote yet: others do not answer, or have no leader");
                }
            }
            let pause = match proof {
                Some((_, Proof::New)) => break,
                Some((_, Proof::Nobody { most })) => match most.filter(|(_, id)| !self.has(id)) {
                    Some((number, most)) => {
                        let before = std::mem::replace(&mut *self.stage.lock(), Stage::Yielding(most));
                        if before != Stage::Yielding(most) {
                            let has_most = MemberNumber(number);
                            warn!(%has_most, "most machines of the group went down together: it goes on once that member leads");
                        }
                        LOOK
                    }
                    None => {
                        warn!("most machines of the group went down together: what none of them had on disk is lost");
                        break;
                    }
                },
                Some((_, Proof::UpTo { last, .. })) if has_agreed => {
                    *self.stage.lock() = Stage::Filling;
                    if self.has(&last) && self.is_on_disk().await {
                        break;
                    }
                    LOOK
                }
                Some(_) => LOOK,
                None => TURN,
            };
            tokio::select! {
                biased;
                () = sleep(pause) => {}
                // This holds the other end.
                _ = founders.changed() => {}
            }
        }
        let files = Arc::clone(&self.files);
        runtime::blocking(move || files.end_quarantine()).await?
    }

    /// Who belongs to the group, as far as is known here.
    async fn electorate(&self, raft: &Raft) -> io::Result<(Voters, BTreeMap<u64, Member>)> {
        let known = raft.with_raft_state(|state| {
            let members = state.membership_state.effective();
            let nodes = members.nodes().map(|(number, member)| (*number, member.clone()));
            (members.get_joint_config().clone(), nodes.collect::<BTreeMap<_, _>>())
        });
        let (voters, members) = known.await.map_err(io::Error::other)?;
        if !members.is_empty() {
            return Ok((voters, members));
        }
        let founders = self.founders.borrow().clone();
        Ok((vec![founders.keys().copied().collect()], founders))
    }

    /// Whether the log may come to where it proves something.
    fn is_of_use(&self, proof: &Proof) -> bool {
        match proof {
            Proof::New | Proof::Nobody { .. } => true,
            Proof::UpTo { vote, last, .. } => {
                let has_newer_leader = self.files.vote().is_some_and(|own| own > *vote);
                self.has(last) || (!has_newer_leader && self.log.id_of(last.index).is_none())
            }
        }
    }

    fn prove(&self, own: u64, voters: &Voters, answers: &BTreeMap<u64, Stand>) -> Option<Proof> {
        let last = self.log.last().map(log_id);
        match (self.loss, self.files.vote()) {
            (Some(Loss::Tail), Some(vote)) => prove_for_tail(own, vote, last, voters, answers),
            _ => prove(own, last, voters, answers),
        }
    }

    /// Whether it has heard this leader, or a newer one.
    fn follows(&self, leader: &Vote) -> bool {
        self.files.vote().is_some_and(|own| own >= *leader)
    }

    /// Whether the log reaches as far as this entry, which its leader had. What is gone of it was agreed on: where that is
    /// another entry, this one was never agreed on, nor will be.
    fn has(&self, id: &Id) -> bool {
        self.log.id_of(id.index) == Some(entry_id(id)) || self.files.purged().is_some_and(|gone| gone.index >= id.index)
    }

    /// Whether entries that have to be on disk are.
    async fn is_on_disk(&self) -> bool {
        !self.log.is_synchronous() || self.log.on_disk(self.log.end()).await == Confirmation::Confirmed
    }
}

/// What the last life left in memory alone, if the machine went down with it.
fn lost_tail(files: &Files, log: &RaftLog) -> io::Result<Option<Loss>> {
    let Some((before, now)) = files.last_life()?.zip(Life::begin(log.is_synchronous())) else { return Ok(None) };
    let is_lost = !log.was_closed() && !before.synchronous && now.is_after_another_boot(&before);
    Ok(is_lost.then_some(Loss::Tail))
}

/// The answers of those who give one.
async fn ask<'a>(network: &impl Inquiry, others: impl Iterator<Item = (&'a u64, &'a Member)>) -> BTreeMap<u64, Stand> {
    let asked = others.map(async |(number, member)| match timeout(PATIENCE, network.stand(*number, member)).await {
        Ok(Ok(stand)) => Some((*number, stand)),
        Ok(Err(_)) | Err(_) => None,
    });
    join_all(asked).await.into_iter().flatten().collect()
}

/// What the answers of others prove to member `own`, whose log ends with `last`.
fn prove(own: u64, last: Option<Id>, voters: &Voters, answers: &BTreeMap<u64, Stand>) -> Option<Proof> {
    let is_voter = voters.iter().any(|set| set.contains(&own));
    let have_all_answered = voters.iter().flatten().all(|voter| *voter == own || answers.contains_key(voter));
    if is_voter && have_all_answered && last.is_none() && answers.values().all(Stand::is_new) {
        return Some(Proof::New);
    }
    let vote = answers.values().map(|stand| stand.vote).reduce(|one, other| if other > one { other } else { one })?;
    let leader = answers.get(&vote.leader_id().node_id).filter(|stand| vote.is_committed() && stand.vote == vote)?;
    let are_enough = voters.iter().all(|set| {
        let knowing = set.iter().filter(|voter| answers.get(voter).is_some_and(|stand| !stand.is_quarantined));
        2 * knowing.count() >= set.len()
    });
    if !are_enough || leader.is_quarantined || (is_voter && !have_all_answered) {
        return None;
    }
    // What was agreed on before its reign, it may not have known of.
    let agreed = leader.agreed.filter(|agreed| agreed.leader_id == *vote.leader_id())?;
    let last = if is_voter { leader.last? } else { agreed };
    Some(Proof::UpTo { vote, agreed, last })
}

/// What they prove to one that kept its votes, the newest of which is `vote`, but not what came behind `last`.
fn prove_for_tail(
    own: u64,
    vote: Vote,
    last: Option<Id>,
    voters: &Voters,
    answers: &BTreeMap<u64, Stand>,
) -> Option<Proof> {
    let leads =
        |(number, stand): &(&u64, &Stand)| stand.vote.is_committed() && stand.vote.leader_id().node_id == **number;
    if let Some((_, leader)) = answers.iter().filter(leads).max_by_key(|(_, stand)| *stand.vote.leader_id()) {
        let agreed = leader.agreed.filter(|agreed| agreed.leader_id == *leader.vote.leader_id())?;
        let is_newest = leader.vote >= vote && !leader.is_quarantined;
        return is_newest.then_some(Proof::UpTo { vote: leader.vote, agreed, last: leader.last? });
    }
    let have_all_answered = voters.iter().flatten().all(|voter| *voter == own || answers.contains_key(voter));
    let can_elect = voters.iter().all(|set| {
        let whole = set.iter().filter(|voter| answers.get(voter).is_some_and(|stand| !stand.is_quarantined));
        2 * whole.count() > set.len()
    });
    let others = answers.iter().filter_map(|(number, stand)| Some((*number, stand.last?)));
    let most = others.max_by_key(|(_, id)| *id).filter(|(_, id)| Some(*id) > last);
    (have_all_answered && !can_elect).then_some(Proof::Nobody { most })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Leader;

    fn id(term: u64, node_id: u64, index: u64) -> Id {
        Id { leader_id: Leader { term, node_id }, index }
    }

    fn stand(vote: Vote, last: Option<Id>) -> Stand {
        let agreed = last.map(|last| Id { index: last.index / 2, ..last });
        Stand { vote, agreed, last, is_quarantined: false, is_slow: false }
    }

    fn forgetful(stand: Stand) -> Stand {
        Stand { is_quarantined: true, ..stand }
    }

    #[track_caller]
    fn check<const N: usize>(own: u64, voters: &[&[u64]], answers: [(u64, Stand); N], expected: Option<Proof>) {
        let voters = voters.iter().map(|set| set.iter().copied().collect()).collect();
        assert_eq!(prove(own, None, &voters, &BTreeMap::from(answers)), expected);
    }

    #[test]
    fn only_all_others_together_prove_that_nothing_is_forgotten() {
        let three: &[&[u64]] = &[&[1, 2, 3]];
        let leader = stand(Vote::new_committed(4, 1), Some(id(4, 1, 90)));
        let follower = stand(Vote::new_committed(4, 1), Some(id(4, 1, 80)));
        let proof = Some(Proof::UpTo { vote: leader.vote, agreed: id(4, 1, 45), last: id(4, 1, 90) });
        check(3, three, [(1, leader), (2, follower)], proof);
        check(3, three, [(1, leader)], None);
        check(3, three, [(2, follower)], None);
        let candidate = stand(Vote::new(5, 2), Some(id(4, 1, 80)));
        check(3, three, [(1, leader), (2, candidate)], None);
        let deposed = stand(Vote::new_committed(3, 2), Some(id(3, 2, 95)));
        check(3, three, [(1, leader), (2, deposed)], proof);
        check(3, three, [(1, Stand { agreed: Some(id(3, 2, 45)), ..leader }), (2, follower)], None);
        let restarted = stand(Vote::new(4, 1), Some(id(4, 1, 90)));
        check(3, three, [(1, restarted), (2, stand(Vote::new(4, 1), None))], None);
        check(3, three, [(1, restarted), (2, follower)], None);
    }

    #[test]
    fn who_is_in_quarantine_himself_proves_little() {
        let leader = stand(Vote::new_committed(4, 1), Some(id(4, 1, 90)));
        let proof = Some(Proof::UpTo { vote: leader.vote, agreed: id(4, 1, 45), last: id(4, 1, 90) });
        let lost = forgetful(stand(Vote::new(0, 0), None));
        check(3, &[&[1, 2, 3]], [(1, leader), (2, lost)], None);
        check(3, &[&[1, 2, 3]], [(1, forgetful(leader)), (2, leader)], None);
        check(5, &[&[1, 2, 3, 4, 5]], [(1, leader), (2, leader), (3, leader), (4, lost)], proof);
        check(5, &[&[1, 2, 3, 4, 5]], [(1, leader), (2, leader), (3, lost), (4, lost)], None);
        check(2, &[&[1, 2]], [(1, leader)], proof);
    }

    #[test]
    fn a_learner_asks_half_of_each_set_of_voters() {
        let leader = stand(Vote::new_committed(4, 1), Some(id(4, 1, 90)));
        let proof = Some(Proof::UpTo { vote: leader.vote, agreed: id(4, 1, 45), last: id(4, 1, 45) });
        check(4, &[&[1, 2, 3]], [(1, leader), (2, leader)], proof);
        check(4, &[&[1, 2, 3]], [(1, leader)], None);
        check(4, &[&[1, 2, 3], &[2, 3, 5]], [(1, leader), (2, leader)], None);
        check(4, &[&[1, 2, 3], &[1, 2, 4]], [(1, leader), (2, leader)], None);
        let as_voter = Some(Proof::UpTo { vote: leader.vote, agreed: id(4, 1, 45), last: id(4, 1, 90) });
        check(4, &[&[1, 2, 3], &[1, 2, 4]], [(1, leader), (2, leader), (3, leader)], as_voter);
        check(4, &[], [], None);
    }

    #[test]
    fn a_group_is_new_if_nobody_has_entries() {
        let empty = forgetful(stand(Vote::new(0, 0), None));
        let founder = stand(Vote::new(1, 1), Some(id(0, 1, 0)));
        let old = stand(Vote::new(1, 1), Some(id(1, 1, 1)));
        check(3, &[&[1, 2, 3]], [(1, empty), (2, empty)], Some(Proof::New));
        check(3, &[&[1, 2, 3]], [(1, founder), (2, empty)], Some(Proof::New));
        check(3, &[&[1, 2, 3]], [(1, empty)], None);
        check(3, &[&[1, 2, 3]], [(1, empty), (2, old)], None);
        check(1, &[&[1]], [], Some(Proof::New));
        check(4, &[&[1, 2, 3]], [(1, empty), (2, empty), (3, empty)], None);
        let voters = vec![BTreeSet::from([1, 2, 3])];
        let partly = prove(3, Some(id(1, 1, 1)), &voters, &BTreeMap::from([(1, empty), (2, empty)]));
        assert_eq!(partly, None, "the entries came from somebody");
    }

    #[test]
    fn who_lost_the_end_of_the_log_needs_a_leader_or_that_nobody_can_lead() {
        let voters = vec![BTreeSet::from([1, 2, 3])];
        let prove = |vote, answers: &[(u64, Stand)]| {
            prove_for_tail(3, vote, Some(id(4, 1, 85)), &voters, &answers.iter().copied().collect())
        };
        let own = Vote::new_committed(4, 1);
        let leader = stand(own, Some(id(4, 1, 90)));
        let proof = Some(Proof::UpTo { vote: own, agreed: id(4, 1, 45), last: id(4, 1, 90) });
        assert_eq!(prove(own, &[(1, leader)]), proof, "the other one may be gone");
        assert_eq!(prove(Vote::new(5, 3), &[(1, leader)]), None, "there may be a newer leader");
        assert_eq!(prove(own, &[(1, Stand { agreed: Some(id(3, 2, 45)), ..leader })]), None);
        let follower = stand(own, Some(id(4, 1, 80)));
        let restarted = stand(Vote::new(4, 1), Some(id(4, 1, 90)));
        assert_eq!(prove(own, &[(1, restarted), (2, follower)]), None, "they elect somebody");
        let behind_1 = Some(Proof::Nobody { most: Some((1, id(4, 1, 90))) });
        assert_eq!(prove(own, &[(1, restarted), (2, forgetful(follower))]), behind_1);
        assert_eq!(prove(own, &[(1, forgetful(restarted)), (2, forgetful(follower))]), behind_1);
        let shorter = forgetful(stand(Vote::new(4, 1), Some(id(4, 1, 70))));
        assert_eq!(prove(own, &[(1, shorter), (2, forgetful(follower))]), Some(Proof::Nobody { most: None }));
        assert_eq!(prove(own, &[(2, forgetful(follower))]), None, "the other one may have everything");
        let alone = vec![BTreeSet::from([3])];
        let proof = prove_for_tail(3, own, None, &alone, &BTreeMap::new());
        assert_eq!(proof, Some(Proof::Nobody { most: None }));
    }
}
