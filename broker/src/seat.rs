//! A broker's seat in its broker set: what it answers and shows as a master or as a slave, whatever features it has at the moment.

use std::sync::Arc;

use remoting::router::Router;

use crate::context::Identity;
use crate::features::{Features, Ground};
use crate::ha::{self, Replication, Side};
use crate::metrics::Site;
use crate::slave::{self, Members};

#[derive(Clone)]
pub(crate) struct Seat {
    replication: Arc<Replication>,
    pub(crate) members: Arc<Members>,
    site: Arc<Site>,
}

impl Seat {
    /// On a store that was just opened.
    pub(crate) fn new(side: Side, ground: &Ground, identity: &Arc<Identity>, site: &Arc<Site>) -> Self {
        let (store, settings) = (Arc::clone(&ground.store), ground.settings.clone());
        let replication = Replication::new(side, Arc::clone(identity), store, settings.clone());
        Self { replication, members: Members::new(Arc::clone(identity), settings), site: Arc::clone(site) }
    }

    /// The handlers of the listening port.
    pub(crate) fn router(&self, features: &Features) -> Router {
        let mut router = features.router();
        ha::routes(&self.replication, &mut router);
        slave::member_routes(&self.members, &mut router);
        router
    }

    /// Begins what features do by themselves, and shows their figures.
    pub(crate) fn begin(&self, features: &Features) {
        features.start();
        let mut registry = features.rooms().registry();
        self.replication.add_to(&mut registry);
        self.site.show(registry);
    }
}
