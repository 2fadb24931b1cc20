//! Where the master of a slave is: name servers say it in their answers to registrations.

use std::collections::BTreeMap;

use remoting::protocol::register::RegisterBrokerReply;

use super::Shared;
use crate::config::BrokerRole;
use crate::ha::MasterAt;

impl Shared {
    /// `server` has answered a registration. Java: `BrokerController.handleRegisterBrokerResult`.
    pub(super) fn learn(&self, server: &str, reply: RegisterBrokerReply) {
        if !self.is_slave() {
            return;
        }
        let RegisterBrokerReply { ha_server_addr, master_addr } = reply;
        let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
        let said = filled(ha_server_addr).zip(filled(master_addr));
        let Some((ha_addr, addr)) = said else { return self.forget(server) };
        let mut masters = self.masters.lock();
        masters.insert(server.to_owned(), MasterAt { ha_addr, addr: Some(addr) });
        self.choose(&masters);
    }

    /// `server` does not answer, is not asked any more, or knows no master now: what it said before counts no longer.
    pub(super) fn forget(&self, server: &str) {
        let mut masters = self.masters.lock();
        if masters.remove(server).is_some() {
            self.choose(&masters);
        }
    }

    /// Name servers that differ must not have a slave go to and fro, so the first one counts. If none says anything, the master
    /// will most likely come back where it was.
    fn choose(&self, masters: &BTreeMap<String, MasterAt>) {
        let Some(master) = masters.values().next() else { return };
        self.ctx.master.at().send_if_modified(|known| {
            let is_news = known.as_ref() != Some(master);
            if is_news {
                tracing::info!(?master, "the master is found");
                *known = Some(master.clone());
            }
            is_news
        });
    }

    /// Whether this is a slave that has not heard yet where its master is.
    pub(super) fn looks_for_master(&self) -> bool {
        let known = |master: &Option<MasterAt>| master.as_ref().is_some_and(|master| master.addr.is_some());
        self.is_slave() && !known(&self.ctx.master.at().borrow())
    }

    pub(super) fn is_slave(&self) -> bool {
        self.ctx.settings().broker_role == BrokerRole::Slave
    }
}
