//! All scenarios. `cargo test --workspace --test compat -- <filter>`, see `compat-tests/README.md`.

mod admin_brokers;
mod admin_clients;
mod admin_groups;
mod admin_messages;
mod admin_progress;
mod admin_topics;
mod broadcast;
mod check;
mod consume;
mod crash;
mod dead_letter;
mod delay;
mod full_disk;
mod group;
mod hand_over;
mod kinds;
mod light;
mod mixed;
mod modes;
mod moving;
mod name_servers;
mod neighbours;
mod offsets;
mod order;
mod pop;
mod pull;
mod queries;
mod rebalance;
mod replication;
mod reply;
mod send;
mod size;
mod slaves;
mod sql;
mod stay;
mod tags;
mod timer;
mod transactions;

use std::process::ExitCode;

fn main() -> ExitCode {
    let scenarios = [
        send::SCENARIOS,
        size::SCENARIOS,
        consume::SCENARIOS,
        order::SCENARIOS,
        broadcast::SCENARIOS,
        pull::SCENARIOS,
        pop::SCENARIOS,
        tags::SCENARIOS,
        reply::SCENARIOS,
        kinds::SCENARIOS,
        light::SCENARIOS,
        sql::SCENARIOS,
        delay::SCENARIOS,
        dead_letter::SCENARIOS,
        transactions::SCENARIOS,
        offsets::SCENARIOS,
        rebalance::SCENARIOS,
        name_servers::SCENARIOS,
        crash::SCENARIOS,
        full_disk::SCENARIOS,
        group::SCENARIOS,
        hand_over::SCENARIOS,
        moving::SCENARIOS,
        stay::SCENARIOS,
        timer::SCENARIOS,
        admin_brokers::SCENARIOS,
        admin_topics::SCENARIOS,
        admin_groups::SCENARIOS,
        admin_messages::SCENARIOS,
        admin_progress::SCENARIOS,
        admin_clients::SCENARIOS,
        queries::SCENARIOS,
        neighbours::SCENARIOS,
    ];
    let of_sets = [replication::SCENARIOS, slaves::SCENARIOS, modes::SCENARIOS, mixed::SCENARIOS];
    compat_tests::suite::main(&scenarios.concat(), &of_sets.concat())
}
