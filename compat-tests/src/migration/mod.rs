//! Real migrations under load: a Java cluster becomes ours, one process at a time, and Java's again, while stock clients produce
//! and consume, with everything checked that a client can see.
//!
//! | file | idea |
//! |---|---|
//! | `load` | stock producers and consumers of plain, ordered, delayed and transactional messages, and what they were told |
//! | `book` | messages that come later than acknowledged, and from elsewhere: none lost, none early, none rolled back |
//! | `fleet` | the servers, of any make, and replacing one |
//! | `kills` | `kill -9` of any process at any step |
//! | `journey` | one step after the other, and that all is well after it |
//! | `shapes` | the clusters that there are, and the steps of each by hand |
//! | `hooks` | what `ferromq migrate` has done by commands of the operator |
//! | `tool` | the steps as `ferromq migrate` takes them |
//! | `report` | what clients felt of each step |
//! | `program` | all of it, as a program of its own |
//!
//! Places, order and copies of messages are compared by [`crate::faults`]' checker.

mod book;
mod fleet;
mod hooks;
mod journey;
mod kills;
mod load;
mod program;
mod report;
mod shapes;
mod tool;

pub use self::program::main;
