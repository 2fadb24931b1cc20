//! Where the master of a slave is: name servers say it in their answers to registrations.

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
        let (Some(ha_addr), Some(addr)) = (filled(ha_server_addr), filled(master_addr)) else { return };
        let mut masters = self.masters.lock();
        masters.insert(server.to_owned(), MasterAt { ha_addr, addr: Some(addr) });
        // Name servers that differ must not have a slave go to and fro.
        let master = masters.values().next().cloned();
        self.ctx.master.at().send_if_modified(|known| {
            let is_news = *known != master;
            if is_news {
                tracing::info!(?master, "the master is found");
                *known = master;
            }
            is_news
        });
    }

    /// Whether this is a slave that has not heard yet where its master is.
    pub(super) fn looks_for_master(&self) -> bool {
        let known = |master: &Option<MasterAt>| master.as_ref().is_some_and(|master| master.addr.is_some());
        self.is_slave() && !known(&self.ctx.master.at().borrow())
    }

    fn is_slave(&self) -> bool {
        self.ctx.settings().broker_role == BrokerRole::Slave
    }
}
