//! Three real processes are a Raft group, and lose nothing that they acknowledged when one of them is killed.
//!
//! Whoever leads is killed over and over, while clients go on through the others. In the end all members hold the same
//! messages, each where its acknowledgement said; topics and offsets are known to every leader. So it is when a member loses
//! its files, and then the leader goes.
//!
//! An operator looks at the group, hands the lead over, takes a fourth broker in and lets it go. The lead goes to the member
//! that the settings prefer, and the leads of two groups are spread over their machines. Prometheus and probes see how each
//! member is.
//!
//! Old log goes, and members that lack it are filled with files.
//!
//! `GROUP_ROUNDS` asks for more than the usual few rounds. The time from each kill to the first acknowledged message is
//! printed.

#[path = "../common/mod.rs"]
mod common;
mod failover;
mod filling;
#[path = "../common/messages.rs"]
mod messages;
mod metrics;
mod operators;
mod trio;
