//! Operators change who belongs to a group, and who leads it.

use std::collections::HashMap;
use std::process::Command;
use std::time::Instant;

use bytes::Bytes;
use remoting::types::QueueOffset;

use crate::common::ports::free_port;
use crate::common::{processes, pull_message, update_topic};
use crate::trio::{ANSWER_MAX, GROUP, PATIENCE, QUEUES, TOPIC, Trio};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_hands_the_lead_over_and_takes_a_broker_in_and_lets_it_go() {
    let mut trio = Trio::start();
    trio.ask(&update_topic(TOPIC, QUEUES), &Bytes::new()).await;
    let mut acknowledged = HashMap::new();
    for number in 0..100 {
        trio.send(number, &mut acknowledged).await;
    }
    let status = trio.status(0, |status| status["role"] == "leader").await;
    let members = status["members"].as_array().expect("members");
    assert_eq!(members.len(), 3, "{status:#}");
    assert!(members.iter().all(|member| member["isVoter"] == true && member["entries"].is_u64()), "{status:#}");
    let leader = status["leader"].as_u64().expect("somebody leads") as usize - 1;

    let refused = trio.command(&["transfer", "n7"], 0);
    assert_eq!(refused.status.code(), Some(1));
    let says = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(says, "ferromq: the group has no member n7\n", "{}", trio.logs());

    let (next, other) = ((leader + 1) % 3, (leader + 2) % 3);
    let since = Instant::now();
    loop {
        // Asked of a member that does not lead before or afterwards. Elections may come in between on a busy machine.
        let said = trio.command(&["transfer", &format!("n{next}")], other);
        let status = trio.status(other, |status| status["role"] == "leader").await;
        if said.status.success() && status["leader"] == next as u64 + 1 {
            assert_eq!(String::from_utf8_lossy(&said.stdout), format!("n{next} leads the group\n"));
            break;
        }
        assert!(since.elapsed() < PATIENCE, "{said:?} {status:#}\n{}", trio.logs());
    }
    for number in 100..200 {
        trio.send(number, &mut acknowledged).await;
    }

    let fourth = trio.start_another();
    let address = trio.peer_addr(fourth);
    let said = trio.say(&["add", "n3", &address], other);
    assert_eq!(said, "n3 has a vote now: it counts for a majority and may lead\n");
    let said = trio.say(&["status"], other);
    assert!(said.contains(&address), "{said}");
    // A pull makes the consumer group, where the leader is.
    for member in trio.members() {
        let pull = pull_message(TOPIC, GROUP, 0, QueueOffset(0), 0);
        let _ = trio.client.call(&trio.addr(member), &pull, Bytes::new(), ANSWER_MAX).await;
    }
    for number in 200..300 {
        trio.send(number, &mut acknowledged).await;
    }
    trio.have_all(0..4, &acknowledged).await;

    let removed = loop {
        let removed = trio.command(&["remove", "n3"], leader);
        if removed.status.success() {
            break removed;
        }
        assert!(since.elapsed() < 3 * PATIENCE, "{removed:?}\n{}", trio.logs());
        // If it leads.
        trio.command(&["transfer", "n0"], leader);
    };
    let said = String::from_utf8_lossy(&removed.stdout);
    assert!(said.starts_with("n3 is out of the group: stop its broker."), "{said}");
    trio.running[fourth].take().expect("it runs").kill();
    let status = trio.status(other, |status| status["role"] == "leader").await;
    let left: Vec<_> = status["members"].as_array().expect("members").iter().map(|member| &member["number"]).collect();
    assert_eq!(left, [1, 2, 3], "{status:#}");
    for number in 300..400 {
        trio.send(number, &mut acknowledged).await;
    }
    assert_eq!(acknowledged.len(), 400);
    trio.have_all(0..3, &acknowledged).await;
    assert_eq!(trio.errors(), "", "{}", trio.logs());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_user_of_the_settings_changes_a_group_that_has_one() {
    let user = r#"initAuthenticationUser={"username":"admin","password":"secret"}"#;
    let trio = Trio::start_with("trio", format!("{user}\n"));
    trio.ask(&update_topic(TOPIC, QUEUES), &Bytes::new()).await;
    let status = trio.status(0, |status| status["role"] == "leader").await;
    let leader = status["leader"].as_u64().expect("somebody leads") as usize - 1;
    let (next, other) = (format!("n{}", (leader + 1) % 3), (leader + 2) % 3);
    let credentials = |file: &str, name: &str, password: &str| {
        let file = trio.folder.path().join(file);
        std::fs::write(&file, format!("accessKey: {name}\nsecretKey: {password}\n")).expect("a file");
        file.to_str().expect("text").to_owned()
    };
    let wrong = credentials("wrong.yml", "admin", "guess");
    let stranger = credentials("stranger.yml", "guest", "secret");
    let right = credentials("right.yml", "admin", "secret");
    let transfer = |file: &str| trio.command(&["transfer", &next, "--credentials", file], other);
    for (refused, why) in [
        (trio.command(&["transfer", &next], other), "not signed"),
        (transfer(&wrong), "secret key"),
        (transfer(&stranger), "no user"),
    ] {
        let says = String::from_utf8_lossy(&refused.stderr);
        assert!(refused.status.code() == Some(1) && says.contains(why), "{says}\n{}", trio.logs());
    }
    assert_eq!(trio.status(0, |status| status["role"] == "leader").await["leader"], leader as u64 + 1);
    let since = Instant::now();
    while !transfer(&right).status.success() {
        assert!(since.elapsed() < PATIENCE, "{}", trio.logs());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_member_that_the_settings_prefer_gets_the_lead_while_messages_are_sent() {
    let mut trio = Trio::start_with("trio", "preferredLeaderIds=n7;n2\n".to_owned());
    trio.ask(&update_topic(TOPIC, QUEUES), &Bytes::new()).await;
    let mut acknowledged = HashMap::new();
    let mut number = trio.send_until_it_leads(2, 0, &mut acknowledged).await;
    for member in trio.members() {
        let pull = pull_message(TOPIC, GROUP, 0, QueueOffset(0), 0);
        let _ = trio.client.call(&trio.addr(member), &pull, Bytes::new(), ANSWER_MAX).await;
    }
    let said = trio.say(&["status"], 0);
    assert!(said.contains("it prefers n7 or n2 as the leader"), "{said}");
    trio.running[2].take().expect("it runs").kill();
    number += 1;
    trio.send(number, &mut acknowledged).await;
    let status = trio.status(0, |status| status["role"] == "leader").await;
    assert_ne!(status["leader"], 3, "{status:#}");
    assert_eq!(status["members"][2]["health"], "silent", "{status:#}");
    trio.start_one(2);
    number = trio.send_until_it_leads(2, number, &mut acknowledged).await;
    let status = trio.status(0, |status| status["role"] == "leader").await;
    let healths: Vec<_> = status["members"].as_array().expect("members").iter().map(|one| &one["health"]).collect();
    assert_eq!(healths, ["well"; 3], "{status:#}");
    assert_eq!(acknowledged.len() as u64, number);
    trio.have_all(0..3, &acknowledged).await;
    assert_eq!(trio.errors(), "", "{}", trio.logs());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leads_of_two_groups_are_spread_over_their_machines() {
    let port = free_port();
    let folder = tempfile::tempdir().expect("a folder");
    let settings = format!("listenPort={port}\nkvConfigPath={}/kv.json\n", folder.path().display());
    let _name_server = processes::start("namesrv", folder.path(), &settings, None);
    let name_server = format!("127.0.0.1:{port}");
    let groups = ["one", "two"].map(|name| Trio::start_with(name, format!("namesrvAddr={name_server}\n")));
    let logs = || groups.each_ref().map(Trio::logs).concat();
    let spread = |options: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ferromq"));
        let said = command.args(["group", "spread", "-n", &name_server]).args(options).output().expect("it runs");
        String::from_utf8_lossy(&said.stdout).into_owned()
    };
    let since = Instant::now();
    loop {
        for group in &groups {
            group.hand_to(0).await;
        }
        let planned = spread(&["--dry-run", "--cluster", "DefaultCluster"]);
        if planned.contains("127.0.0.1  2      1\n") {
            assert!(planned.contains("one: n0 on 127.0.0.1 is to give the lead to n1 on 127.0.0.2\n"), "{planned}");
            assert!(planned.ends_with("nothing is changed: --dry-run\n"), "{planned}");
            break;
        }
        assert!(since.elapsed() < PATIENCE, "{planned}\n{}", logs());
    }
    let unknown = spread(&["--cluster", "nowhere"]);
    assert_eq!(unknown, "");
    let mut said = Vec::new();
    loop {
        said.push(spread(&[]));
        let mut leaders = Vec::new();
        for group in &groups {
            leaders.push(group.status(0, |status| status["role"] == "leader").await["leader"].clone());
        }
        if leaders[0] != leaders[1] {
            break;
        }
        assert!(since.elapsed() < 2 * PATIENCE, "{said:?}\n{}", logs());
    }
    assert!(said.concat().contains("one: n1 leads\n"), "{said:?}");
    assert!(spread(&[]).ends_with("the leads are spread as evenly as the members allow\n"));
}
