//! Names, numbers and the clock: the vocabulary that wire and disk share.

mod clock;
mod host;
mod member;
mod names;
mod numbers;

pub use clock::{Clock, Timestamp};
pub use host::Host;
pub use member::{MemberNumber, NoMemberName};
pub use names::{BrokerName, ClientId, ClusterName, GroupName, TopicName};
pub use numbers::{BrokerId, Opaque, PhysicalOffset, QueueId, QueueOffset};
