//! What a slave of ours asks a master of ours: the tables beside the messages. Java has nothing like it: its slaves ask for
//! each table as a whole, every minute.

use crate::header::NoHeader;
use crate::request;

request! {
    /// What changed in the master's tables since the slave last asked. The answer's body is a `TableNews`; it is empty if
    /// nothing changed for as long as the slave lets the master wait.
    COPY_TABLES => NoHeader,
    pub struct CopyTables {
        /// `TableNews::seen` of the last answer; absent: all there is.
        seen: Option<String> = "seen",
        /// Longest wait for a change, in milliseconds.
        wait_ms: Option<i64> = "waitMs",
    }
}
