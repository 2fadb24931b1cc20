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
//! **Acting.** With `enableSlaveActingMaster`, name servers show the smallest slave in the place of a master that is away. With
//! `enableRemoteEscape`, it then delivers what waits, to the masters of other broker sets ([`escape`]): new features of
//! [`Role::Acting`] do that, and find what the others saved. A master that comes back hears of it before it is shown again
//! ([`pre_online`]). Without `enableRemoteEscape` what waits goes on waiting for the master.
//!
//! Java: `SlaveSynchronize`, `BrokerController`.

mod behind;
mod copying;
mod escape;
mod java;
mod members;
mod news;
mod pre_online;
mod tables;

use std::path::Path;
use std::sync::Arc;

use remoting::protocol::RequestCode;
use tokio::task::JoinHandle;
use tokio::time::{Duration, sleep};
use tokio_util::sync::CancellationToken;

use self::copying::Copying;
pub(crate) use self::escape::Outlet;
pub(crate) use self::members::{Members, routes as member_routes};
pub(crate) use self::news::{News, routes};
pub(crate) use self::pre_online::Returning;
pub(crate) use self::tables::Tables;
use crate::assemble::StartError;
use crate::context::{Identity, Role};
use crate::features::{Features, Ground};
use crate::front::{Front, Listeners};
use crate::ha::{Follower, MasterAt, Side};
use crate::metrics::Site;
use crate::persist::Home;
use crate::seat::Seat;

/// Time between two looks whether the master answers.
const LOOK_PERIOD: Duration = Duration::from_millis(500);
/// Until features that could not be made are tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// A slave that runs.
pub(crate) struct Slave {
    follower: Arc<Follower>,
    serving: JoinHandle<Features>,
    watching: JoinHandle<()>,
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
        ground: Ground,
        identity: &Arc<Identity>,
        root: &Path,
        listeners: Listeners,
        site: &Arc<Site>,
    ) -> Result<Started, StartError> {
        let settings = ground.settings.borrow().clone();
        ground.master.set_answers(false);
        if let Some(ha_addr) = settings.ha_master_address.clone() {
            ground.master.at().send_replace(Some(MasterAt { ha_addr, addr: None }));
        }
        let home = Home::Folder(root.join("config"));
        let features = Features::open(&ground, Arc::clone(identity), Role::Slave, &home)?;
        let master = ground.master.at().subscribe();
        let follower = Follower::start(&ground.store, ground.settings.clone(), ground.clock.clone(), master);
        let follower = follower.map_err(StartError::Follow)?;
        let side = Side::Slave { follower: Arc::clone(&follower), redirect: ground.master.at().clone() };
        let seat = Seat::new(side, &ground, identity, site);
        let members = Arc::clone(&seat.members);
        let may_act = settings.enable_slave_acting_master && settings.enable_remote_escape;
        let desk = Desk { ground, identity: Arc::clone(identity), home, may_act, seat };
        let router = desk.seat.router(&features);
        let answered = router.codes();
        let front = listeners.serve(&features, router);
        desk.seat.begin(&features);
        site.set_ready();
        let stopping = CancellationToken::new();
        let watching = {
            let stopping = stopping.clone();
            tokio::spawn(async move {
                if may_act {
                    members.follow(&stopping).await;
                }
            })
        };
        let serving = tokio::spawn(desk.serve(features, front.clone(), stopping.clone()));
        Ok(Started { slave: Self { follower, serving, watching, stopping }, front, answered })
    }

    /// Follows no more, and saves what is known. The features that served last are given back, to be taken out of the routes.
    pub(crate) async fn stop(self) -> Features {
        let Self { follower, serving, watching, stopping } = self;
        stopping.cancel();
        let features = serving.await.expect("serving does not panic");
        watching.await.expect("watching the members does not panic");
        features.stop().await;
        let ending = tokio::task::spawn_blocking(move || follower.stop());
        ending.await.expect("ending a follower does not panic");
        features
    }
}

/// Makes features for roles.
#[derive(Clone)]
struct Desk {
    ground: Ground,
    identity: Arc<Identity>,
    home: Home,
    /// It delivers what waits while the master is away.
    may_act: bool,
    seat: Seat,
}

/// The task that copies into the tables of some features.
struct Copier {
    task: JoinHandle<()>,
    stopping: CancellationToken,
}

impl Copier {
    async fn stop(self) {
        self.stopping.cancel();
        self.task.await.expect("copying tables does not panic");
    }
}

impl Desk {
    fn copier(&self, features: &Features) -> Copier {
        let stopping = CancellationToken::new();
        let copying = Copying::new(
            features.tables().clone(),
            Arc::clone(&self.ground.store),
            self.ground.master.clone(),
            self.may_act,
            stopping.clone(),
        );
        Copier { task: tokio::spawn(copying.run()), stopping }
    }

    /// Has the features be for what is to be done now, until the broker stops; those that served last are given back.
    async fn serve(self, mut features: Features, front: Front, stopping: CancellationToken) -> Features {
        let mut members = self.seat.members.known();
        let mut copier = self.copier(&features);
        let mut now = Role::Slave;
        loop {
            let is_smallest = self.seat.members.is_smallest(&members.borrow_and_update());
            // Name servers may have lost touch with a master that is well.
            let wanted = if is_smallest && !self.ground.master.answers() { Role::Acting } else { Role::Slave };
            let mut pause = LOOK_PERIOD;
            if wanted != now {
                tracing::info!(?wanted, "another role");
                copier.stop().await;
                features.make_way().await;
                match self.turn(wanted).await {
                    Ok(new) => {
                        front.replace(&new, self.seat.router(&new));
                        self.seat.begin(&new);
                        (features, now) = (new, wanted);
                    }
                    Err(err) => {
                        tracing::error!(%err, ?wanted, "cannot serve in another role yet; tried again");
                        pause = RETRY_PAUSE;
                    }
                }
                copier = self.copier(&features);
            }
            tokio::select! {
                () = stopping.cancelled() => break,
                // Members are followed only where it matters.
                _ = members.changed() => {}
                () = sleep(pause) => {}
            }
        }
        copier.stop().await;
        features
    }

    async fn turn(&self, role: Role) -> Result<Features, StartError> {
        let desk = self.clone();
        let opening = tokio::task::spawn_blocking(move || {
            Features::open(&desk.ground, Arc::clone(&desk.identity), role, &desk.home)
        });
        opening.await.expect("features are made without panic")
    }
}
