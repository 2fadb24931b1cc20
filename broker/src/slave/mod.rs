//! A broker that follows a master: Java's classic pair of master and slave.
//!
//! ```text
//! name servers ─ where the master is ─▶ this ─┬─ ha: the log, byte by byte
//!                                             └─ copying: topics, groups, offsets, delays, modes, timer
//! clients ◀─ reads ─ this ─ what they committed here ─▶ master
//! ```
//!
//! **Log.** [`crate::ha::Follower`] has the store take the master's log; nothing else may write to it, so what would is refused
//! as on Java's slave, and what only one member of a set may run rests.
//!
//! **Tables.** [`copying`] asks the master for what is beside the messages. A master of ours tells what changed within a second
//! ([`news`]), one of Java's all of it every minute ([`java`]). Both go the same way into the live tables and their files
//! ([`tables`]), so the slave can become the master by another start.
//!
//! **Clients** read here with `slaveReadEnable`: those that the master sends away because they are far behind, and all while
//! the master does not answer. What they commit meanwhile is handed to the master when it is back (`offset/own.rs`).
//!
//! Java: `SlaveSynchronize`, `BrokerController`.

mod behind;
mod copying;
mod java;
mod news;
mod tables;

use std::path::Path;
use std::sync::Arc;

use remoting::protocol::RequestCode;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::copying::Copying;
pub(crate) use self::news::{News, routes};
pub(crate) use self::tables::Tables;
use crate::assemble::StartError;
use crate::context::{Identity, Role};
use crate::features::{Features, Ground};
use crate::front::{Front, Listeners};
use crate::ha::{self, Follower, MasterAt, Replication, Side};
use crate::metrics::Site;
use crate::persist::Home;

/// A slave that runs.
pub(crate) struct Slave {
    features: Features,
    follower: Arc<Follower>,
    copying: JoinHandle<()>,
    stopping: CancellationToken,
}

pub(crate) struct Started {
    pub(crate) slave: Slave,
    pub(crate) front: Front,
    /// The requests it answers on its listening port.
    pub(crate) answered: Vec<RequestCode>,
}

impl Slave {
    /// Serves, and follows the master as soon as it is known where that is.
    ///
    /// # Errors
    /// [`StartError`]; nothing runs then.
    pub(crate) fn start(
        ground: &Ground,
        identity: &Arc<Identity>,
        root: &Path,
        listeners: Listeners,
        site: &Site,
    ) -> Result<Started, StartError> {
        let settings = ground.settings.borrow().clone();
        ground.master.set_answers(false);
        if let Some(ha_addr) = settings.ha_master_address.clone() {
            ground.master.at().send_replace(Some(MasterAt { ha_addr, addr: None }));
        }
        let home = Home::Folder(root.join("config"));
        let features = Features::open(ground, Arc::clone(identity), Role::Slave, &home)?;
        let master = ground.master.at().subscribe();
        let follower = Follower::start(&ground.store, ground.settings.clone(), ground.clock.clone(), master);
        let follower = follower.map_err(StartError::Follow)?;
        let side = Side::Slave { follower: Arc::clone(&follower), redirect: ground.master.at().clone() };
        let replication =
            Replication::new(side, Arc::clone(identity), Arc::clone(&ground.store), ground.settings.clone());
        let mut router = features.router();
        ha::routes(&replication, &mut router);
        let answered = router.codes();
        let front = listeners.serve(&features, router);
        features.start();
        let mut registry = features.rooms().registry();
        replication.add_to(&mut registry);
        site.show(registry);
        site.set_ready();
        let stopping = CancellationToken::new();
        let copying = Copying::new(
            features.tables().clone(),
            Arc::clone(&ground.store),
            Arc::clone(&follower),
            ground.master.clone(),
            stopping.clone(),
        );
        let copying = tokio::spawn(copying.run());
        Ok(Started { slave: Self { features, follower, copying, stopping }, front, answered })
    }

    /// Follows no more, and saves what is known. The features that served are given back, to be taken out of the routes.
    pub(crate) async fn stop(self) -> Features {
        let Self { features, follower, copying, stopping } = self;
        stopping.cancel();
        copying.await.expect("copying tables does not panic");
        features.stop().await;
        let ending = tokio::task::spawn_blocking(move || follower.stop());
        ending.await.expect("ending a follower does not panic");
        features
    }
}
