//! A broker group: three brokers of one name, each on a machine of its own, that share one log and have one leader.
//!
//! The leader is whom the name server lists as broker 0; a follower's id is one more than the number in its own name, which
//! is `n0`, `n1` or `n2`. Members are called by that number here, too.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use anyhow::{Context, Result, ensure};

use crate::cluster::Cluster;
use crate::machine::Signal;
use crate::node::Node;
use crate::target::{BROKER, Part, Seat, Server};
use crate::wire;

/// Members of a group.
pub const MEMBERS: usize = 3;

impl Cluster {
    /// Starts all members at once and waits until they are listed as a group.
    pub(crate) async fn start_group(&self) -> Result<()> {
        tokio::try_join!(self.start_member(0), self.start_member(1), self.start_member(2))?;
        self.until_whole().await?;
        Ok(())
    }

    /// Starts a member that was ended; whether it leads or follows is seen later, by [`Self::until_whole`].
    ///
    /// # Errors
    /// If it does not listen in time.
    pub async fn start_member(&self, number: usize) -> Result<()> {
        self.start_member_of(number, self.target.broker()).await
    }

    pub(crate) async fn start_member_of(&self, number: usize, server: Server) -> Result<()> {
        let addresses = (0..MEMBERS).map(|number| Ok((number, self.peer_address(number)?)));
        let seat = Seat { number, addresses: addresses.collect::<Result<_>>()? };
        let node = self.member(number)?;
        self.start_on(node, server, &Part::OfGroup(seat)).await?;
        wire::until_listening(&node.address()).await
    }

    /// Where a member speaks with the others.
    pub(crate) fn peer_address(&self, number: usize) -> Result<String> {
        Ok(self.member(number)?.peer_address())
    }

    /// Waits until all name servers list a leader and all followers, in the same roles.
    ///
    /// # Errors
    /// If it does not get there in time.
    pub async fn until_whole(&self) -> Result<usize> {
        let leader = wire::eventually("a group of a leader and two followers", async || {
            let mut leaders = Vec::new();
            for name_server in self.name_server_addresses() {
                let listed = wire::brokers_of(&name_server, BROKER).await?;
                let Some(leader) = self.leader_among(&listed) else { return Ok(None) };
                let follows = |number: &usize| {
                    let (id, address) = (*number as u64 + 1, self.member(*number).map(Node::address));
                    address.is_ok_and(|address| listed.get(&id) == Some(&address))
                };
                if listed.len() != MEMBERS || !(0..MEMBERS).filter(|number| *number != leader).all(|n| follows(&n)) {
                    return Ok(None);
                }
                leaders.push(leader);
            }
            leaders.dedup();
            Ok(if leaders.len() == 1 { leaders.pop() } else { None })
        });
        let leader = leader.await?;
        self.led.store(leader, Ordering::Relaxed);
        Ok(leader)
    }

    /// Waits until the name servers list a leader other than `than`.
    ///
    /// # Errors
    /// If they do not in time.
    pub async fn until_led_by_another(&self, than: usize) -> Result<usize> {
        wire::eventually(&format!("a leader other than n{than}"), async || {
            Ok(self.listed_leader().await?.filter(|leader| *leader != than))
        })
        .await
    }

    /// The member that the first name server lists as the leader, once there is one.
    ///
    /// # Errors
    /// If there is none in time.
    pub async fn leader(&self) -> Result<usize> {
        wire::eventually("a leader", async || self.listed_leader().await).await
    }

    async fn listed_leader(&self) -> Result<Option<usize>> {
        let listed = wire::brokers_of(&self.name_server_addresses()[0], BROKER).await?;
        Ok(self.leader_among(&listed))
    }

    fn leader_among(&self, listed: &BTreeMap<u64, String>) -> Option<usize> {
        let leader = listed.get(&0)?;
        (0..MEMBERS).find(|number| self.member(*number).is_ok_and(|node| node.address() == *leader))
    }

    /// Waits until the first name server's route of `topic` leads to the leader.
    ///
    /// # Errors
    /// If it does not in time.
    pub async fn until_routed(&self, topic: &str) -> Result<()> {
        wire::until_routed(&self.name_server_addresses()[0], topic, &self.leader_address().await?, true).await
    }

    /// Address of whoever takes writes: the broker, or the leader of the group.
    ///
    /// # Errors
    /// If none leads.
    pub async fn leader_address(&self) -> Result<String> {
        if !self.layout.group {
            return Ok(self.broker_address());
        }
        self.member_address(self.leader().await?)
    }

    /// # Errors
    /// If there is no such member.
    pub fn member_address(&self, number: usize) -> Result<String> {
        Ok(self.member(number)?.address())
    }

    /// The members that do not lead.
    ///
    /// # Errors
    /// If none leads.
    pub async fn followers(&self) -> Result<Vec<usize>> {
        let leader = self.leader().await?;
        Ok((0..MEMBERS).filter(|number| *number != leader).collect())
    }

    /// `kill -9` of a member.
    ///
    /// # Errors
    /// If it stays.
    pub async fn kill_member(&self, number: usize) -> Result<()> {
        self.member(number)?.end(Signal::Kill).await
    }

    /// Kills the leader, and starts it again once another one leads.
    ///
    /// # Errors
    /// If it does not get there in time.
    pub(crate) async fn lose_leader(&self) -> Result<()> {
        let leader = self.leader().await?;
        self.kill_member(leader).await?;
        self.until_led_by_another(leader).await?;
        self.start_member(leader).await?;
        self.until_whole().await?;
        Ok(())
    }

    /// Removes what a member that was ended has stored.
    ///
    /// # Errors
    /// If it runs, or files cannot be removed.
    pub async fn wipe_member(&self, number: usize) -> Result<()> {
        self.member(number)?.wipe().await
    }

    /// Has a member hold still, with all its connections open.
    ///
    /// # Errors
    /// If it does not run.
    pub async fn pause_member(&self, number: usize) -> Result<()> {
        self.member(number)?.signal(Signal::Stop).await
    }

    /// Undoes [`Self::pause_member`].
    ///
    /// # Errors
    /// If it does not run.
    pub async fn resume_member(&self, number: usize) -> Result<()> {
        self.member(number)?.signal(Signal::Continue).await
    }

    /// Takes a member's machine off the network.
    ///
    /// # Errors
    /// If it is off.
    pub async fn cut_member(&self, number: usize) -> Result<()> {
        self.member(number)?.machine.cut().await
    }

    /// Undoes [`Self::cut_member`].
    ///
    /// # Errors
    /// If it was not done.
    pub async fn mend_member(&self, number: usize) -> Result<()> {
        self.member(number)?.machine.mend().await
    }

    /// Kills or holds still a member by this signal, `KILL` or `STOP`, and tells when, see [`Machine::strike`].
    ///
    /// [`Machine::strike`]: crate::machine::Machine::strike
    ///
    /// # Errors
    /// If it does not run.
    pub(crate) async fn strike_member(&self, number: usize, signal: &str) -> Result<(i64, i64)> {
        let node = self.member(number)?;
        let process = node.process.lock().await;
        node.machine.strike(process.as_ref().context("strike a member that does not run")?, signal).await
    }

    /// Waits for the end of a member that was struck, so that it can be started.
    ///
    /// # Errors
    /// If it stays.
    pub(crate) async fn bury_member(&self, number: usize) -> Result<()> {
        let process = self.member(number)?.process.lock().await.take();
        process.context("bury a member that was not started")?.ended().await
    }

    /// Undoes what a scenario before this one left, if it failed, and waits until the group is whole.
    ///
    /// # Errors
    /// If it does not get there in time.
    pub async fn make_whole(&self) -> Result<usize> {
        for number in 0..MEMBERS {
            let node = self.member(number)?;
            if node.machine.is_cut() {
                node.machine.mend().await?;
            }
            let mut process = node.process.lock().await;
            let runs = match process.as_ref() {
                Some(process) => process.runs().await,
                None => false,
            };
            if runs {
                drop(process);
                self.resume_member(number).await?;
            } else {
                process.take();
                drop(process);
                self.start_member(number).await?;
            }
        }
        self.until_whole().await
    }

    /// Waits until every follower has been told of `topic`.
    ///
    /// Followers of Java fetch topics and groups from their leader every few seconds, and what they have not fetched is lost
    /// with it. In our groups all of it goes through the log, so there is nothing to wait for.
    ///
    /// # Errors
    /// If they are not told in time.
    pub async fn until_followers_know(&self, topic: &str) -> Result<()> {
        if self.target.broker() != Server::Java {
            return Ok(());
        }
        for follower in self.followers().await? {
            let follower = self.member_address(follower)?;
            wire::eventually(&format!("{follower} with settings of {topic}"), async || {
                Ok(wire::has_topic(&follower, topic).await?.then_some(()))
            })
            .await?;
        }
        Ok(())
    }

    /// Waits until the followers have the settings of `group`, too, by which its messages are tried again so many times. Java's copy
    /// them after the topics.
    ///
    /// # Errors
    /// If they have not in time.
    pub async fn until_followers_know_group(&self, group: &str, retries: i64) -> Result<()> {
        if self.target.broker() != Server::Java {
            return Ok(());
        }
        for follower in self.followers().await? {
            let follower = self.member_address(follower)?;
            wire::eventually(&format!("{follower} with settings of {group}"), async || {
                Ok((wire::retries_of(&follower, group).await? == Some(retries)).then_some(()))
            })
            .await?;
        }
        Ok(())
    }

    /// The offsets that the leader has for `group` in `topic`, by queue.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn offsets(&self, topic: &str, group: &str) -> Result<BTreeMap<String, i64>> {
        wire::offsets_of(&self.leader_address().await?, topic, group).await
    }

    /// Waits until the followers can read all that the leader has in `topic` now.
    ///
    /// # Errors
    /// If they cannot in time.
    pub async fn until_followers_have(&self, topic: &str, queues: i32) -> Result<()> {
        let leader = self.leader_address().await?;
        for follower in self.followers().await? {
            self.until_member_has(follower, &leader, topic, queues).await?;
        }
        Ok(())
    }

    async fn until_member_has(&self, number: usize, leader: &str, topic: &str, queues: i32) -> Result<()> {
        let member = self.member_address(number)?;
        for queue in 0..queues {
            let end = wire::max_offset(leader, topic, queue).await?;
            wire::eventually(&format!("{member} with {topic}-{queue} up to {end}"), async || {
                Ok((wire::max_offset(&member, topic, queue).await? >= end).then_some(()))
            })
            .await?;
        }
        Ok(())
    }

    /// Waits until a member can read all that the leader has in `topic` now, and compares the messages of both; those of
    /// Java's are not compared, as a member of it that was started again may count the offsets of a queue from 0 anew (seen
    /// with 5.5.0).
    ///
    /// # Errors
    /// If it cannot in time, or they differ.
    pub async fn until_member_has_the_same(&self, number: usize, topic: &str, queues: i32) -> Result<()> {
        let (leader, member) = (self.leader_address().await?, self.member_address(number)?);
        self.until_member_has(number, &leader, topic, queues).await?;
        if self.target.broker() == Server::Java {
            return Ok(());
        }
        for queue in 0..queues {
            let (mut offset, end) = (0, wire::max_offset(&leader, topic, queue).await?);
            while offset < end {
                let expected = wire::read(&leader, topic, queue, offset).await?;
                let (bytes, next) = expected.with_context(|| format!("{leader} has no {topic}-{queue} at {offset}"))?;
                let theirs = wire::read(&member, topic, queue, offset).await?;
                ensure!(theirs == Some((bytes, next)), "{member} and {leader} differ in {topic}-{queue} at {offset}");
                offset = next;
            }
        }
        Ok(())
    }

    pub(crate) fn member(&self, number: usize) -> Result<&Node> {
        ensure!(self.layout.group, "the cluster has no group");
        [&self.broker].into_iter().chain(&self.others).nth(number).with_context(|| format!("no member n{number}"))
    }
}
