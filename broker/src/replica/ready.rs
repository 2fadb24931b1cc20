//! Whether a member is ready for clients.

use std::sync::Arc;

use dledger::Group;
use tokio::sync::watch;

#[derive(Clone)]
pub(super) struct Readiness {
    pub(super) group: Arc<Group>,
    /// Where the leader serves; known while this member serves in its role.
    pub(super) leader: watch::Receiver<Option<String>>,
}

impl Readiness {
    /// # Errors
    /// Why it is not, for a person to read.
    pub(super) async fn look(&self) -> Result<(), String> {
        self.group.readiness().await.map_err(|why| why.to_string())?;
        match *self.leader.borrow() {
            Some(_) => Ok(()),
            None => Err("it changes its role, or does not know yet where its leader serves clients".to_owned()),
        }
    }
}
