//! `updateSubGroup`, `updateSubGroupList`, `deleteSubGroup`, `getConsumerConfig`.

use std::sync::Arc;

use remoting::body::{GroupForbidden, SubscriptionGroupConfig, SubscriptionGroupList, fastjson};
use remoting::header::NoHeader;
use remoting::protocol::group::{
    DeleteGroup, GetAllGroupConfig, GetAllGroupConfigReply, GetGroupConfig, UpdateGroup, UpdateGroupForbidden,
    UpdateGroupList,
};
use remoting::router::{Call, Handle, Reply, Router};

use super::AdminError;
use super::page::Page;
use crate::context::Context;
use crate::group::GroupTable;
use crate::offset::Offsets;
use crate::stats::Stats;

pub(super) struct Groups {
    pub(super) ctx: Context,
    pub(super) groups: Arc<GroupTable>,
    pub(super) offsets: Arc<Offsets>,
    pub(super) stats: Arc<Stats>,
}

pub(super) fn routes(groups: &Arc<Groups>, router: &mut Router) {
    router.on::<UpdateGroup>(groups).on::<UpdateGroupList>(groups).on::<DeleteGroup>(groups);
    router.on::<GetAllGroupConfig>(groups).on::<GetGroupConfig>(groups).on::<UpdateGroupForbidden>(groups);
}

impl Handle<UpdateGroup> for Groups {
    type Error = AdminError;

    /// Java: `updateAndCreateSubscriptionGroup`, which takes an empty body for nothing to do.
    async fn handle(&self, call: Call<UpdateGroup>) -> Result<Reply<NoHeader>, AdminError> {
        if !call.body.is_empty() {
            let config: SubscriptionGroupConfig = fastjson::read(&call.body)?;
            tracing::info!(group = %config.group_name, caller = %call.peer.remote(), "a group is created or changed by request");
            self.groups.put_all(vec![config])?;
        }
        Ok(Reply::done())
    }
}

impl Handle<UpdateGroupList> for Groups {
    type Error = AdminError;

    /// All or none. Java: `updateAndCreateSubscriptionGroupList`.
    async fn handle(&self, call: Call<UpdateGroupList>) -> Result<Reply<NoHeader>, AdminError> {
        let list: SubscriptionGroupList = fastjson::read(&call.body)?;
        tracing::info!(groups = list.group_config_list.len(), caller = %call.peer.remote(), "groups are created or changed by request");
        self.groups.put_all(list.group_config_list)?;
        Ok(Reply::done())
    }
}

impl Handle<DeleteGroup> for Groups {
    type Error = AdminError;

    /// Java: `deleteSubscriptionGroup`.
    async fn handle(&self, call: Call<DeleteGroup>) -> Result<Reply<NoHeader>, AdminError> {
        let DeleteGroup { group_name: group, clean_offset } = call.header;
        tracing::info!(%group, clean_offset, caller = %call.peer.remote(), "a group is deleted by request");
        self.groups.delete(&group)?;
        if clean_offset == Some(true) {
            self.offsets.remove_group(&group);
            self.offsets.persist().await;
        }
        if self.ctx.settings().auto_delete_unused_stats {
            self.stats.group_deleted(&group);
        }
        Ok(Reply::done())
    }
}

impl Handle<GetAllGroupConfig> for Groups {
    type Error = AdminError;

    /// Java: `getAllSubscriptionGroup`.
    async fn handle(&self, call: Call<GetAllGroupConfig>) -> Result<Reply<GetAllGroupConfigReply>, AdminError> {
        let GetAllGroupConfig { group_seq, data_version, max_group_num } = call.header;
        let mut body = self.groups.snapshot();
        let total_group_num = i32::try_from(body.subscription_group_table.len()).unwrap_or(i32::MAX);
        let page = Page { from: group_seq, max: max_group_num, version: data_version };
        body.subscription_group_table = page.cut(body.subscription_group_table, body.data_version);
        let groups = &body.subscription_group_table;
        body.forbidden_table.retain(|group, _| groups.contains_key(group));
        Ok(Reply::new(GetAllGroupConfigReply { total_group_num }).body(fastjson::write(&body)))
    }
}

impl Handle<GetGroupConfig> for Groups {
    type Error = AdminError;

    /// A group that may be created on first use is created by this, too. Java: `getSubscriptionGroup`.
    async fn handle(&self, call: Call<GetGroupConfig>) -> Result<Reply<NoHeader>, AdminError> {
        let config = self.groups.find(&call.header.group).ok_or(AdminError::NoGroupHere)?;
        Ok(Reply::done().body(fastjson::write(&*config)))
    }
}

impl Handle<UpdateGroupForbidden> for Groups {
    type Error = AdminError;

    /// Java: `updateAndGetGroupForbidden`.
    async fn handle(&self, call: Call<UpdateGroupForbidden>) -> Result<Reply<NoHeader>, AdminError> {
        let UpdateGroupForbidden { group, topic, readable } = call.header;
        if let Some(readable) = readable {
            tracing::info!(%group, %topic, readable, caller = %call.peer.remote(), "what a group may read changes by request");
            self.groups.forbid_read(&group, &topic, !readable)?;
        }
        let readable = !self.groups.is_read_forbidden(&group, &topic);
        Ok(Reply::done().body(fastjson::write(&GroupForbidden { group, readable, topic })))
    }
}
