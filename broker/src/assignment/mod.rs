//! Dividing queues among the members of a group, for clients that leave it to the broker, and telling them to pull or to pop.
//!
//! A client that does not balance by itself asks any broker of a topic which queues are its own. The answer follows from the
//! topic's route, which the name servers know, and from the members of the group, which every broker knows: so brokers
//! need not agree on anything. How a group gets a topic's messages is set per group and topic, and saved as
//! `config/messageRequestMode.json`.
//!
//! Java: `QueryAssignmentProcessor`, `MessageRequestModeManager`.

mod allocate;
mod modes;
mod query;
mod routes;

use std::sync::Arc;

use remoting::config::SaveError;
use remoting::protocol::assignment::{GetAllMessageRequestMode, QueryAssignment, SetMessageRequestMode};
use remoting::router::Router;
use remoting::types::TopicName;
use thiserror::Error;

use self::modes::Modes;
use self::routes::Routes;
use crate::client::Clients;
use crate::context::Context;
use crate::group::GroupTable;
use crate::persist::{Home, LoadError};
use crate::register::Registrar;
use crate::topic::TopicTable;

pub(crate) struct Assignments {
    ctx: Context,
    topics: Arc<TopicTable>,
    groups: Arc<GroupTable>,
    clients: Arc<Clients>,
    modes: Modes,
    routes: Routes,
}

/// Texts are Java's remarks, where it has one.
#[derive(Debug, Error)]
pub(crate) enum AssignmentError {
    #[error("the body does not parse: {0}")]
    Body(#[from] serde_json::Error),
    #[error("retry topic is not allowed to set mode")]
    RetryTopic,
    #[error("topic[{0}] not exist")]
    UnknownTopic(TopicName),
    #[error("subscription group does not exist")]
    UnknownGroup,
    /// The mode is in force, but a restart would forget it.
    #[error(transparent)]
    Save(#[from] SaveError),
}

pub(crate) fn routes(assignments: &Arc<Assignments>, router: &mut Router) {
    router.on::<QueryAssignment>(assignments).on::<SetMessageRequestMode>(assignments);
    router.on::<GetAllMessageRequestMode>(assignments);
}

impl Assignments {
    /// Loads `messageRequestMode.json`.
    ///
    /// # Errors
    /// [`LoadError`].
    pub(crate) fn open(
        ctx: Context,
        home: impl Into<Home>,
        topics: Arc<TopicTable>,
        groups: Arc<GroupTable>,
        clients: Arc<Clients>,
        registrar: Arc<Registrar>,
    ) -> Result<Arc<Self>, LoadError> {
        let modes = Modes::load(&home.into())?;
        Ok(Arc::new(Self { ctx, topics, groups, clients, modes, routes: Routes::new(registrar) }))
    }
}

#[cfg(test)]
mod tests;
