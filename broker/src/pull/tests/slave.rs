//! Pulls from a slave.

use remoting::types::BrokerId;

use super::*;
use crate::context::{Identity, Role};

/// A slave with three messages in queue 0.
async fn slave() -> Fixture {
    let mut surroundings = Surroundings::with(|settings| settings.slave_read_enable = true);
    surroundings.role.send_replace(Role::Slave);
    surroundings.ctx.identity = Identity { id: BrokerId(1), ..Identity::clone(&surroundings.ctx.identity) }.into();
    let fixture = Fixture::of(surroundings, 40, "*").await;
    (0..3).for_each(|_| fixture.append(0, "", b"x"));
    fixture
}

impl Answered {
    /// Code, where to go on, and of whom to ask for more.
    fn advice(&self) -> (ResponseCode, i64, i64) {
        (self.code, self.next(), self.header.as_ref().unwrap().suggest_which_broker_id)
    }
}

#[tokio::test]
async fn a_slave_sends_readers_back_to_a_master_that_answers() {
    let fixture = slave().await;
    assert_eq!(fixture.pull(&from(0)).advice(), (ResponseCode::SUCCESS, 3, 0));
    assert_eq!(fixture.pull(&from(3)).advice(), (ResponseCode::PULL_RETRY_IMMEDIATELY, 3, 0));
    // What the slave lacks the master may have: nobody is moved.
    assert_eq!(fixture.pull(&from(9)).advice(), (ResponseCode::PULL_RETRY_IMMEDIATELY, 9, 0));
    fixture.surroundings.set(|settings| settings.offset_check_in_slave = true);
    assert_eq!(fixture.pull(&from(9)).advice(), (ResponseCode::PULL_RETRY_IMMEDIATELY, 3, 0));
}

#[tokio::test]
async fn while_the_master_is_away_readers_stay_and_wait() {
    let fixture = slave().await;
    assert!(fixture.surroundings.ctx.master.set_answers(false));
    assert_eq!(fixture.pull(&from(0)).advice(), (ResponseCode::SUCCESS, 3, 1));
    assert_eq!(fixture.pull(&from(3)).advice(), (ResponseCode::PULL_NOT_FOUND, 3, 1));
    assert_eq!(fixture.pull(&from(9)).advice(), (ResponseCode::PULL_NOT_FOUND, 9, 1));
    fixture.send(&waiting_from(3));
    assert_eq!(fixture.waiting(), 1);
    fixture.surroundings.set(|settings| settings.offset_check_in_slave = true);
    assert_eq!(fixture.pull(&from(9)).advice(), (ResponseCode::PULL_OFFSET_MOVED, 3, 1));
}

#[tokio::test]
async fn what_is_committed_with_a_pull_is_told_to_the_master() {
    let fixture = slave().await;
    let commit = PullMessage { sys_flag: PullSysFlag::COMMIT_OFFSET, commit_offset: QueueOffset(2), ..from(2) };
    fixture.pull(&commit);
    let own = fixture.pulls.reader.offsets.own();
    assert_eq!(own.iter().map(|own| (own.queue.0, own.offset.0)).collect::<Vec<_>>(), [(0, 2)]);
}
