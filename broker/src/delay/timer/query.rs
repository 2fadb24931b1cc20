//! What slaves and tools ask. Java: `AdminBrokerProcessor`.

use std::convert::Infallible;

use remoting::header::NoHeader;
use remoting::protocol::timer::{GetTimerCheckPoint, GetTimerMetrics, SwitchTimerEngine};
use remoting::router::{Call, Handle, Reply};
use thiserror::Error;

use super::Timers;

/// Texts are Java's remarks.
#[derive(Debug, Error)]
pub(crate) enum TimerQueryError {
    #[error("broker timerWheelEnable is false")]
    NotEnabled,
    #[error("param error")]
    Engine,
    /// There is none here, so this is Java's answer of a broker that was started without it.
    #[error("timerRocksDBEnable must be configured true when broker start")]
    NoRocksDb,
}

impl Handle<GetTimerCheckPoint> for Timers {
    type Error = Infallible;

    async fn handle(&self, _: Call<GetTimerCheckPoint>) -> Result<Reply<NoHeader>, Infallible> {
        // Java has the file also where the wheel is off.
        Ok(Reply::done().body(self.checkpoint().encode().to_vec()))
    }
}

impl Handle<GetTimerMetrics> for Timers {
    type Error = Infallible;

    async fn handle(&self, _: Call<GetTimerMetrics>) -> Result<Reply<NoHeader>, Infallible> {
        Ok(Reply::done().body(self.metrics.encode()))
    }
}

impl Handle<SwitchTimerEngine> for Timers {
    type Error = TimerQueryError;

    async fn handle(&self, call: Call<SwitchTimerEngine>) -> Result<Reply<NoHeader>, TimerQueryError> {
        if self.wheel.is_none() {
            return Err(TimerQueryError::NotEnabled);
        }
        match call.header.engine.as_deref() {
            // It is what there is.
            Some("F") => Ok(Reply::done()),
            Some("R") => Err(TimerQueryError::NoRocksDb),
            _ => Err(TimerQueryError::Engine),
        }
    }
}
