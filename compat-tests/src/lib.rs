//! Stock RocketMQ clients against the Java broker and against ours.
//!
//! A scenario is written once, in `tests/compat/`, and runs for every target and client. The code here starts what a
//! scenario talks to and lets it watch: it sees processes and wires, never Ferromq's own code.
//!
//! | module | idea |
//! |---|---|
//! | [`artifacts`] | what `setup/prepare.sh` laid ready |
//! | [`machine`] | a container, or this machine's loopback: a place that runs processes |
//! | [`process`] | one running program |
//! | [`dialogue`] | what a program or role is told and the events it printed |
//! | [`target`] | how name server and broker are started: Java's or ours |
//! | [`stage`] | what all clusters of a run share |
//! | `node` | one server on its machine, which comes and goes |
//! | [`cluster`] | name servers, broker and client machine of one test network |
//! | [`sets`] | broker sets of such a network: masters and slaves, and what can be done to them |
//! | [`stores`] | whether brokers have the same log and the same queues, byte by byte |
//! | [`group`] | a broker group of such a network, and what can be done to its members |
//! | [`moving`] | from Java's groups to ours |
//! | [`clients`] | stock Java and Go clients and mqadmin as typed handles |
//! | [`wire`] | the few questions the harness itself asks a server |
//! | [`logs`] | lines a healthy server does not write; keeping logs of failures |
//! | [`faults`] | rounds of faults in a group under load, and what they may not do |
//! | [`replicas`] | replicas of all makes under one master, with many messages of all kinds |
//! | [`migration`] | a cluster of Java's becomes ours, and Java's again, under load |
//! | [`mod@scenario`] | what a scenario is and what it is given |
//! | `company` | runs with several clients that share a cluster, and disturb it together |
//! | `program` | what programs beside the suite have in common: a run and a cluster, with everything removed after them |
//! | `proven` | what Java has passed already, so that it is not asked again |
//! | `plan` | scenarios × clients × targets as tests, and which of them run together |
//! | [`suite`] | a run of the tests, and the matrix at the end |
//! | `times` | what each of them took |

pub mod artifacts;
pub mod body;
pub mod clients;
pub mod cluster;
mod company;
pub mod dialogue;
pub mod events;
pub mod faults;
pub mod group;
pub mod logs;
pub mod machine;
pub mod matrix;
pub mod migration;
pub mod moving;
mod node;
mod plan;
pub mod process;
mod program;
mod proven;
pub mod replicas;
pub mod scenario;
pub mod sets;
pub mod stage;
pub mod stores;
pub mod suite;
pub mod target;
mod times;
pub mod wire;
