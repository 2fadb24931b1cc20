//! The choice of messages for one read.

use std::sync::Arc;

use remoting::body::SubscriptionData;
use remoting::types::GroupName;
use store::EntryFilter;
use store::message::properties::name;
use store::message::{StoredMessage, properties};

use super::registry::Filters;
use super::sql::Expression;
use super::tag::TagFilter;

/// What of a queue one pull wants.
#[derive(Clone)]
pub(crate) enum Filter {
    Tags(Arc<SubscriptionData>),
    Sql(Arc<Expression>),
    /// Of messages that come again, those that the group wants of the topic that they were sent to.
    Retried(Retried),
}

#[derive(Clone)]
pub(crate) struct Retried {
    pub(crate) filters: Arc<Filters>,
    pub(crate) group: GroupName,
}

impl Filter {
    /// Reads with it.
    pub(crate) fn with<T>(&self, read: impl FnOnce(&dyn EntryFilter) -> T) -> T {
        match self {
            Self::Tags(subscription) => read(&TagFilter::of(subscription)),
            Self::Sql(expression) => read(&**expression),
            Self::Retried(retried) => read(retried),
        }
    }
}

impl EntryFilter for Expression {
    fn matches_record(&self, record: &[u8]) -> bool {
        StoredMessage::parse(record).is_ok_and(|message| self.matches(message.properties))
    }
}

impl EntryFilter for Retried {
    /// Java: `ExpressionForRetryMessageFilter`, where a message passes if the group has no filter for its topic.
    fn matches_record(&self, record: &[u8]) -> bool {
        StoredMessage::parse(record).is_ok_and(|message| {
            let topic = properties::get(message.properties, name::RETRY_TOPIC).unwrap_or_default();
            let filter = self.filters.get(topic, &self.group);
            filter.is_none_or(|filter| filter.expression.matches(message.properties))
        })
    }
}
