//! The consumer groups of this broker and what they may do.
//!
//! Java: `SubscriptionGroupManager`.

mod attributes;
mod boot;
mod table;

pub(crate) use attributes::PRIORITY_FACTOR;
pub(crate) use table::{FILE, GroupTable};

use remoting::config::SaveError;

use crate::persist::LoadError;
use crate::topic::{AttributeError, NameError};

/// Why a group is not as the caller wants it.
#[derive(Debug, thiserror::Error)]
pub enum GroupError {
    #[error(transparent)]
    Name(#[from] NameError),
    #[error(transparent)]
    Attribute(#[from] AttributeError),
    /// The change is in force but a restart would forget it.
    #[error(transparent)]
    Save(#[from] SaveError),
    #[error(transparent)]
    Load(#[from] LoadError),
}

#[cfg(test)]
mod tests;
