//! `getBrokerConfig`, `updateBrokerConfig`.

use std::sync::Arc;

use parking_lot::Mutex;
use remoting::body::{DataVersion, fastjson};
use remoting::header::NoHeader;
use remoting::protocol::config::{GetBrokerConfig, GetBrokerConfigReply, UpdateBrokerConfig};
use remoting::router::{Call, Handle, Reply, Router};

use super::{AdminError, LiveConfig};
use crate::context::Context;
use crate::register::Registrar;
use crate::topic::TopicTable;

pub(super) struct Settings {
    ctx: Context,
    live: Arc<LiveConfig>,
    topics: Arc<TopicTable>,
    registrar: Arc<Registrar>,
    /// Counts changes since the start.
    version: Mutex<DataVersion>,
}

impl Settings {
    pub(super) fn new(ctx: Context, live: Arc<LiveConfig>, topics: Arc<TopicTable>, registrar: Arc<Registrar>) -> Self {
        let version = Mutex::new(DataVersion::new(ctx.clock.now()));
        Self { ctx, live, topics, registrar, version }
    }
}

pub(super) fn routes(settings: &Arc<Settings>, router: &mut Router) {
    router.on::<GetBrokerConfig>(settings).on::<UpdateBrokerConfig>(settings);
}

impl Handle<GetBrokerConfig> for Settings {
    type Error = AdminError;

    /// Java: `getBrokerConfig`.
    async fn handle(&self, _: Call<GetBrokerConfig>) -> Result<Reply<GetBrokerConfigReply>, AdminError> {
        let version = fastjson::write(&*self.version.lock());
        Ok(Reply::new(GetBrokerConfigReply { version }).body(self.live.text()))
    }
}

impl Handle<UpdateBrokerConfig> for Settings {
    type Error = AdminError;

    /// Java: `updateBrokerConfig`, which ignores values that do not parse.
    async fn handle(&self, call: Call<UpdateBrokerConfig>) -> Result<Reply<NoHeader>, AdminError> {
        let text = String::from_utf8_lossy(&call.body);
        tracing::info!(caller = %call.peer.remote(), settings = %text.trim(), "settings are changed by request");
        let changed = self.live.change(&text)?;
        {
            let mut version = self.version.lock();
            *version = version.next(self.ctx.clock.now());
        }
        for note in &changed.notes {
            tracing::warn!("{note}");
        }
        if changed.before.broker_permission != changed.after.broker_permission {
            // Name servers show clients what the broker allows.
            self.topics.touch();
            self.registrar.register_now().await;
        }
        changed.saved.map_err(AdminError::ConfigFile)?;
        let reply = Reply::done();
        Ok(if changed.notes.is_empty() { reply } else { reply.remark(changed.notes.join("; ")) })
    }
}
