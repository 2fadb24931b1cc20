//! Broker sets: masters, each with slaves that follow it, on machines of their own.
//!
//! A [`Post`] names a machine by the broker that is meant for it. What runs there may be of any make, and may act for another
//! post: a slave's machine may have the master when mastership was switched.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::cluster::{Cluster, Layout};
use crate::logs;
use crate::machine::Signal;
use crate::node::Node;
use crate::stores::{self, Equal, Since};
use crate::target::{Part, Post, Server};
use crate::wire;

impl Layout {
    /// The posts of all sets, masters before their slaves.
    pub fn posts(self) -> impl Iterator<Item = Post> {
        (0..self.masters).flat_map(move |set| (0..=self.slaves).map(move |id| Post { set, id }))
    }
}

impl Cluster {
    /// Starts a broker of this make at its post, new or after one was stopped or killed there, and waits until all running name
    /// servers list it.
    ///
    /// # Errors
    /// If that does not happen in time.
    pub async fn start_at(&self, post: Post, server: Server) -> Result<()> {
        self.start_as(post, server, post).await
    }

    /// The same, with the broker name, id and role of another post than the machine's.
    ///
    /// # Errors
    /// If it is not listed in time.
    pub async fn start_as(&self, at: Post, server: Server, acts: Post) -> Result<()> {
        let node = self.node(at)?;
        self.start_on(node, server, &Part::OfSet(acts)).await?;
        self.until_up(node, acts).await
    }

    /// Waits until all running name servers list the broker that was started there.
    pub(crate) async fn until_up(&self, node: &Node, acts: Post) -> Result<()> {
        wire::until_listening(&node.address()).await?;
        for name_server in self.running_name_servers().await {
            wire::until_listed(&name_server, acts.broker(), acts.id, &node.address()).await?;
        }
        Ok(())
    }

    /// Whether a broker was started there, and not ended.
    ///
    /// # Errors
    /// If there is no such post.
    pub async fn runs_at(&self, post: Post) -> Result<bool> {
        Ok(self.node(post)?.runs().await)
    }

    /// Ends the broker there in order.
    ///
    /// # Errors
    /// If it stays.
    pub async fn stop_at(&self, post: Post) -> Result<()> {
        self.node(post)?.end(Signal::Term).await
    }

    /// `kill -9` of the broker there.
    ///
    /// # Errors
    /// If it stays.
    pub async fn kill_at(&self, post: Post) -> Result<()> {
        self.node(post)?.end(Signal::Kill).await
    }

    /// Has the broker there hold still, with all its connections open.
    ///
    /// # Errors
    /// If none runs.
    pub async fn pause_at(&self, post: Post) -> Result<()> {
        self.node(post)?.signal(Signal::Stop).await
    }

    /// Undoes [`Self::pause_at`].
    ///
    /// # Errors
    /// If none runs.
    pub async fn resume_at(&self, post: Post) -> Result<()> {
        self.node(post)?.signal(Signal::Continue).await
    }

    /// Removes what the broker there, which was ended, has stored.
    ///
    /// # Errors
    /// If it runs, or files cannot be removed.
    pub async fn wipe_at(&self, post: Post) -> Result<()> {
        self.node(post)?.wipe().await
    }

    /// Address of the broker there.
    ///
    /// # Errors
    /// If there is no such post.
    pub fn address_at(&self, post: Post) -> Result<String> {
        Ok(self.node(post)?.address())
    }

    /// Directory of the broker's machine.
    ///
    /// # Errors
    /// If there is no such post.
    pub fn dir_at(&self, post: Post) -> Result<&Path> {
        Ok(self.node(post)?.machine.dir())
    }

    /// Folder of the broker's store.
    ///
    /// # Errors
    /// If there is no such post.
    pub fn store_at(&self, post: Post) -> Result<PathBuf> {
        Ok(self.node(post)?.store())
    }

    /// Creates a topic at one master and waits until all running name servers route to it.
    ///
    /// # Errors
    /// If it refuses or the route does not come.
    pub async fn create_topic_at(&self, post: Post, topic: &str, queues: u32, order: bool) -> Result<()> {
        let running = self.running_name_servers().await;
        wire::create_topic(&self.address_at(post)?, &running, topic, queues, order).await
    }

    /// Waits until a slave has as much of the log as its master, and both have dispatched all of it to their queues.
    ///
    /// # Errors
    /// If it does not get there in time.
    pub async fn until_followed(&self, master: Post, slave: Post) -> Result<()> {
        let (ahead, behind) = (self.address_at(master)?, self.address_at(slave)?);
        wire::eventually(&format!("{behind} with all that {ahead} has"), async || {
            let theirs = wire::log_end(&behind).await?;
            let own = wire::log_end(&ahead).await?;
            let both_dispatched = own.undispatched == 0 && theirs.undispatched == 0;
            ensure!(own.end == theirs.end, "{ahead} ends at {}, {behind} at {}", own.end, theirs.end);
            Ok(both_dispatched.then_some(()))
        })
        .await
    }

    /// Waits until a slave has all that its master has, and compares their logs and queues byte by byte. What a broker writes now
    /// and then without being asked does no harm.
    ///
    /// # Errors
    /// If they are not the same in time.
    pub async fn until_same(&self, master: Post, slave: Post, since: Since) -> Result<Equal> {
        let (own, theirs) = (self.store_at(master)?, self.store_at(slave)?);
        wire::eventually(&format!("the same files in {} and {}", own.display(), theirs.display()), async || {
            self.until_followed(master, slave).await?;
            let (own, theirs) = (own.clone(), theirs.clone());
            let compared = tokio::task::spawn_blocking(move || stores::compare(&own, &theirs, since));
            compared.await.context("compare stores")?.map(Some)
        })
        .await
    }

    /// Waits until our broker there has written `text` to its log.
    ///
    /// # Errors
    /// If it does not in time.
    pub async fn until_told(&self, post: Post, text: &str) -> Result<()> {
        let log = self.dir_at(post)?.join(Server::Ferromq.broker_process());
        let files = ["out", "err"].map(|end| log.with_extension(end));
        wire::eventually(&format!("`{text}` in the log of {post:?}"), async || {
            let mut written = files.iter().map(|file| std::fs::read_to_string(file).unwrap_or_default());
            Ok(written.any(|log| logs::without_colours(&log).contains(text)).then_some(()))
        })
        .await
    }

    /// Waits until the slave knows the settings of a topic or of a group's retries: Java's fetches them every 60 s.
    ///
    /// # Errors
    /// If it does not in time.
    pub async fn until_known(&self, slave: Post, topic: &str) -> Result<()> {
        let address = self.address_at(slave)?;
        wire::eventually(&format!("{topic} at {address}"), async || {
            Ok(wire::has_topic(&address, topic).await?.then_some(()))
        })
        .await
    }

    pub(crate) fn node(&self, post: Post) -> Result<&Node> {
        let Layout { masters, slaves, group, .. } = self.layout;
        ensure!(!group && post.set < masters && post.id <= slaves, "the cluster has no {post:?}");
        match post.set * (1 + slaves) + post.id {
            0 => Ok(&self.broker),
            number => self.others.get(number - 1).with_context(|| format!("find {post:?}")),
        }
    }
}
