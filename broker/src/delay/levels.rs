//! Delay levels: 1, 2, … stand for the durations of `messageDelayLevel`. Java: `ScheduleMessageService`.

use std::sync::LazyLock;
use std::time::Duration;

use remoting::types::{QueueId, TopicName};
use store::message::SCHEDULE_TOPIC;

/// The delay of each level. Fixed while the broker runs: the deliver times in the queues are made of it.
#[derive(Clone, Debug)]
pub(crate) struct Levels {
    delays: Vec<Duration>,
}

impl Levels {
    /// Of level 1, 2, …; see [`crate::config::BrokerConfig::delay_levels`].
    pub(crate) fn new(delays: Vec<Duration>) -> Self {
        Self { delays }
    }

    /// The level itself or, above the last one, that.
    pub(crate) fn clip(&self, level: i32) -> i32 {
        level.min(self.last())
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = i32> + use<> {
        1..=self.last()
    }

    /// How long messages of a level wait.
    pub(super) fn delay(&self, level: i32) -> Duration {
        let index = usize::try_from(level - 1).expect("levels begin with 1");
        self.delays[index]
    }

    fn last(&self) -> i32 {
        i32::try_from(self.delays.len()).expect("a list that a person wrote is short")
    }
}

/// Where delayed messages wait. Java: `TopicValidator.RMQ_SYS_SCHEDULE_TOPIC`.
pub(crate) fn schedule_topic() -> &'static TopicName {
    static TOPIC: LazyLock<TopicName> = LazyLock::new(|| TopicName::new(SCHEDULE_TOPIC));
    &TOPIC
}

/// The queue of the schedule topic in which messages of a level wait. Java: `delayLevel2QueueId`.
pub(crate) fn queue_of(level: i32) -> QueueId {
    QueueId(level - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::BrokerConfig;

    #[test]
    fn levels_above_the_last_are_the_last() {
        let levels = Levels::new(BrokerConfig::default().delay_levels().unwrap());
        assert_eq!([1, 18, 19, 99].map(|level| levels.clip(level)), [1, 18, 18, 18]);
        assert_eq!((levels.delay(1), levels.delay(18)), (Duration::from_secs(1), Duration::from_secs(7200)));
        assert_eq!(levels.all().count(), 18);
        let own = BrokerConfig { message_delay_level: "5s 1d".to_owned(), ..BrokerConfig::default() };
        let levels = Levels::new(own.delay_levels().unwrap());
        assert_eq!((levels.clip(3), levels.delay(2)), (2, Duration::from_secs(24 * 3600)));
    }
}
