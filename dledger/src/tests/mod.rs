//! Groups of members in one process, on real stores, over a network that can be cut.

mod crashed;
mod filled;
mod lead;
mod three;
mod wiped;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use remoting::types::QueueId;
use store::message::Message;
use store::{AppendError, Confirmation, FlushMode, Store};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use self::three::{FILE_BYTES, PATIENCE, Three, Wires, addresses, holds, host, timing, topic};
use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_members_have_one_log() {
    for flush in [FlushMode::Async, FlushMode::Sync] {
        // A disk that takes its time does not cost the lead.
        let three = Three::found_with(flush, timing(3000), Wires::Process).await;
        let leader = three.leader().await;
        let sent: Vec<String> = (0..200).map(|number| format!("{number}-{}", "x".repeat(number * 5))).collect();
        for body in &sent {
            assert!(three.send(leader, body).await, "{body}");
        }
        for follower in (1..=3).filter(|number| *number != leader) {
            assert!(!three.send(follower, "no").await, "only the leader's store takes messages");
        }
        let (log, seen) = three.converge().await;
        assert!(log.len() > FILE_BYTES as usize, "several files");
        assert_eq!(seen, sent);
        three.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_cut_off_confirms_nothing_and_takes_back_what_it_wrote_alone() {
    let three = Three::found(FlushMode::Async, Wires::Process).await;
    let old = three.leader().await;
    assert!(three.send(old, "before").await);
    three.cut_off(old);
    assert!(!three.send(old, "alone").await, "without the others it cannot be agreed on");
    let new = three.leader().await;
    assert_ne!(new, old);
    assert!(three.send(new, "after").await);
    assert!(!three.send(old, "alone again").await);
    three.heal();
    let (_, seen) = three.converge().await;
    assert_eq!(seen, ["before", "after"]);
    three.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_were_stopped_go_on_where_they_were() {
    stops(Wires::Process).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_reach_each_other_by_tcp_do_as_well() {
    stops(Wires::Tcp(addresses(3).await)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_process_ends_is_missed_at_once() {
    // Longer than the test may take: nobody is elected because of a time that is over.
    let timing = timing(600_000);
    let mut three = Three::found_with(FlushMode::Async, timing, Wires::Tcp(addresses(3).await)).await;
    let mut sent = Vec::new();
    for round in 0..3 {
        let leader = three.leader().await;
        sent.push(format!("{round}-three"));
        assert!(three.send(leader, &sent[sent.len() - 1]).await);
        three.converge().await;
        three.stop(leader).await;
        let next = three.leader().await;
        sent.push(format!("{round}-two"));
        assert!(three.send(next, &sent[sent.len() - 1]).await);
        three.start(leader).await;
    }
    assert_eq!(three.converge().await.1, sent);
    three.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_nobody_answers_does_not_lead_until_they_do() {
    let three = Three::found_with(FlushMode::Async, timing(1500), Wires::Process).await;
    let leader = three.leader().await;
    let mut role = three.running[&leader].group.role();
    let Role::Leader { term } = *role.borrow_and_update() else { panic!("it leads") };
    assert!(three.send(leader, "before").await);
    // It is heard, so nobody else is elected, but hears nothing.
    let others = (1..=3).filter(|other| *other != leader);
    three.network.cuts.lock().extend(others.map(|other| (other, leader)));
    // One after the other, so that some are written when openraft takes nothing any more, and this member does not know yet.
    sleep(three.timing.election_max - Duration::from_millis(150)).await;
    let store = Arc::clone(&three.running[&leader].store);
    let mut written = 0;
    loop {
        let mut batch = store.batch();
        let body = format!("alone-{written}");
        batch.push(&Message::new(&topic(), QueueId(0), body.as_bytes(), host())).unwrap();
        match store.append(&mut batch) {
            Ok(_) => written += 1,
            Err(AppendError::NotLeader) => break,
            Err(other) => panic!("{other}"),
        }
        tokio::task::yield_now().await;
    }
    role.wait_for(|role| *role == Role::Follower { leader: None }).await.unwrap();
    three.heal();
    let leads = |role: &Role| !matches!(role, Role::Follower { leader: None });
    assert_eq!(*role.wait_for(leads).await.unwrap(), Role::Leader { term }, "in the same term");
    assert!(three.send(leader, "after").await);
    let alone = (0..written).map(|number| format!("alone-{number}"));
    let expected: Vec<String> = ["before".into()].into_iter().chain(alone).chain(["after".into()]).collect();
    assert_eq!(three.converge().await.1, expected);
    three.end().await;
}

async fn stops(wires: Wires) {
    let mut three = Three::found(FlushMode::Async, wires).await;
    let mut sent = Vec::new();
    for round in 0..4 {
        let leader = three.leader().await;
        for number in 0..20 {
            let body = format!("{round}-{number}");
            assert!(three.send(leader, &body).await);
            sent.push(body);
        }
        three.stop(leader).await;
        let next = three.leader().await;
        sent.push(format!("{round}-two"));
        assert!(three.send(next, &sent[sent.len() - 1]).await, "two are a majority");
        three.start(leader).await;
    }
    // All at once.
    for number in 1..=3 {
        three.stop(number).await;
    }
    for number in 1..=3 {
        three.start(number).await;
    }
    let (_, seen) = three.converge().await;
    assert_eq!(seen, sent);
    three.end().await;
}

fn map<const N: usize>(values: [(&str, &str); N]) -> BTreeMap<String, String> {
    values.into_iter().map(|(name, value)| (name.into(), value.into())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_state_changes_on_all_members_by_what_was_agreed_on_alone() {
    let three = Three::found(FlushMode::Async, Wires::Process).await;
    let old = three.leader().await;
    for number in 0..20 {
        assert!(three.send(old, &format!("{number}-{}", "x".repeat(number * 300))).await);
        assert!(three.change(old, &format!("count={number}")).await);
        let value = three.running[&old].state.0.lock().values["count"].clone();
        assert_eq!(value, number.to_string(), "it was changed before anybody heard that it was agreed on");
    }
    let follower = (1..=3).find(|number| *number != old).unwrap();
    let refused = three.running[&follower].log.append_state(b"count=no");
    assert!(matches!(refused, Err(AppendError::NotLeader)));
    assert_eq!(three.state().await, map([("count", "19")]));
    three.cut_off(old);
    assert!(!three.change(old, "count=alone").await, "without the others it cannot be agreed on");
    assert_eq!(three.running[&old].state.0.lock().values, map([("count", "19")]));
    let new = three.leader().await;
    assert!(three.change(new, "who=new").await);
    three.heal();
    assert_eq!(three.state().await, map([("count", "19"), ("who", "new")]));
    three.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_starts_takes_the_changes_that_its_state_lacks() {
    let mut three = Three::found(FlushMode::Async, Wires::Process).await;
    for round in 0..4 {
        let leader = three.leader().await;
        assert!(three.change(leader, &format!("round={round}")).await);
        assert!(three.send(leader, &format!("{round}-{}", "x".repeat(2000))).await);
        assert!(three.change(leader, &format!("{round}={round}")).await);
        // In some rounds the state outlives the member.
        if round % 2 == 0 {
            three.states.insert(leader, Arc::clone(&three.running[&leader].state));
        }
        three.stop(leader).await;
        let next = three.leader().await;
        assert!(three.change(next, &format!("next={round}")).await, "two are a majority");
        three.start(leader).await;
    }
    let expected = map([("round", "3"), ("next", "3"), ("0", "0"), ("1", "1"), ("2", "2"), ("3", "3")]);
    assert_eq!(three.state().await, expected);
    // All at once: nothing of the state is left but what the log holds.
    for number in 1..=3 {
        three.stop(number).await;
    }
    for number in 1..=3 {
        three.start(number).await;
        let values = three.running[&number].state.0.lock().values.clone();
        assert_eq!(values["round"], "3", "what lies before messages that readers see is there before the group is");
    }
    assert_eq!(three.state().await, expected);
    three.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_whose_state_cannot_take_a_change_stops() {
    let three = Three::found(FlushMode::Async, Wires::Process).await;
    let leader = three.leader().await;
    assert!(!three.change(leader, "nothing").await);
    let mut role = three.running[&leader].group.role();
    while role.changed().await.is_ok() {}
    assert!(matches!(*role.borrow(), Role::Follower { leader: None }));
    assert!(!three.send(leader, "late").await);
    three.end().await;
}

/// Sends through a store while it takes messages; what the group has agreed on, once `stopping` is.
async fn send_on(store: Arc<Store>, stopping: CancellationToken) -> Vec<String> {
    let mut confirmed = Vec::new();
    let mut number = 0;
    while !stopping.is_cancelled() {
        let body = format!("{number}-{}", "x".repeat(number % 500));
        let mut batch = store.batch();
        batch.push(&Message::new(&topic(), QueueId(0), body.as_bytes(), host())).unwrap();
        match store.append_and_confirm(&mut batch).await {
            Ok((_, Confirmation::Confirmed)) => confirmed.push(body),
            _ => sleep(Duration::from_millis(1)).await,
        }
        number += 1;
    }
    confirmed
}

/// Returns once the group has agreed on 100 entries more.
async fn goes_on(group: &Group) {
    let (before, deadline) = (group.figures().agreed, Instant::now() + PATIENCE);
    while group.figures().agreed < before + 100 {
        assert!(Instant::now() < deadline, "nothing is agreed on any more: {:?}", group.figures());
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_come_and_go_while_messages_are_sent() {
    let mut three = Three::found(FlushMode::Async, Wires::Process).await;
    let leader = three.leader().await;
    let stopping = CancellationToken::new();
    let store = Arc::clone(&three.running[&leader].store);
    // Many at a time, so that some are always on their way when a change of members comes between them.
    let senders: Vec<_> = (0..8).map(|_| tokio::spawn(send_on(Arc::clone(&store), stopping.clone()))).collect();
    three.folders.insert(4, tempfile::tempdir().unwrap());
    three.start(4).await;
    let of_leader = &three.running[&leader].group;
    goes_on(of_leader).await;
    let unknown = of_leader.promote(4).await;
    assert!(matches!(unknown, Err(GroupError::Unknown { number: 4, .. })), "{unknown:?}");
    of_leader.add_learner(4, "d:4").await.unwrap();
    let other = of_leader.add_learner(4, "e:5").await;
    assert!(matches!(other, Err(GroupError::OtherAddress { number: 4, .. })), "{other:?}");
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = of_leader.promote(4).await {
        assert!(
            matches!(error, GroupError::Behind { .. } | GroupError::Quarantined { .. }) && Instant::now() < deadline,
            "{error}"
        );
        sleep(Duration::from_millis(10)).await;
    }
    let voters = |group: &Group| -> Vec<u64> {
        group.members().into_iter().filter(|member| member.is_voter).map(|member| member.number).collect()
    };
    assert_eq!(voters(of_leader), [1, 2, 3, 4]);
    goes_on(of_leader).await;
    let gone = (1..=3).find(|number| *number != leader).unwrap();
    let refused = three.running[&gone].group.remove(4).await;
    assert!(matches!(refused, Err(GroupError::NotLeader { leader: Some(knows) }) if knows == leader), "{refused:?}");
    let itself = of_leader.remove(leader).await;
    assert!(matches!(itself, Err(GroupError::Leads { number }) if number == leader), "{itself:?}");
    of_leader.remove(gone).await.unwrap();
    assert!(!of_leader.is_changing());
    goes_on(of_leader).await;
    assert_eq!(voters(of_leader), (1..=4).filter(|number| *number != gone).collect::<Vec<_>>());
    let figures = of_leader.figures();
    assert!(
        figures.applied <= figures.agreed && figures.agreed <= figures.entries && figures.agreed > 0,
        "{figures:?}"
    );
    stopping.cancel();
    three.stop(gone).await;
    let (_, seen) = three.converge().await;
    for sender in senders {
        let confirmed = sender.await.unwrap();
        assert!(confirmed.len() > 10, "{} confirmed", confirmed.len());
        assert!(holds(&seen, &confirmed));
    }
    three.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_make_a_group_once_all_are_there_and_one_that_comes_later_makes_none() {
    let addresses = addresses(4).await;
    let mut three = Three::new(FlushMode::Async, timing(500), Wires::Tcp(addresses.clone()));
    three.folders.insert(4, tempfile::tempdir().unwrap());
    // As a broker does with its settings, which name so many members.
    let founding = |three: &Three, number: u64, members: u64| {
        let member = |number| (number, Member { address: addresses[&number].to_string() });
        let members = (1..=members).map(member).collect();
        tokio::spawn(three.running[&number].group.found_after(Duration::from_secs(3), members))
    };
    for number in 1..=2 {
        three.start(number).await;
    }
    let made: Vec<_> = (1..=2).map(|number| founding(&three, number, 3)).collect();
    // Long enough for many looks.
    sleep(Duration::from_secs(1)).await;
    let knows_members = |three: &Three, number: u64| !three.running[&number].group.members().is_empty();
    assert!((1..=2).all(|number| !knows_members(&three, number)), "two have made a group of three");
    three.start(3).await;
    for made in made {
        made.await.unwrap().unwrap();
    }
    founding(&three, 3, 3).await.unwrap().unwrap();
    let leader = three.leader().await;
    assert!(three.send(leader, "before").await);

    three.start(4).await;
    let fourth = founding(&three, 4, 4);
    sleep(Duration::from_secs(1)).await;
    assert!(!knows_members(&three, 4), "it has made a group of its own");
    three.stop(4).await;
    three.running[&leader].group.add_learner(4, &addresses[&4].to_string()).await.unwrap();
    let absent = three.running[&leader].group.promote(4).await;
    assert!(matches!(absent, Err(GroupError::Behind { number: 4, .. })), "{absent:?}");
    three.running[&leader].group.remove(4).await.unwrap();
    drop(fourth);
    three.start(4).await;
    let fourth = founding(&three, 4, 4);
    // The others are away for a while: still no reason to make one.
    for number in 1..=3 {
        three.stop(number).await;
    }
    sleep(Duration::from_secs(1)).await;
    assert!(!knows_members(&three, 4), "it has made a group of its own");
    for number in 1..=3 {
        three.start(number).await;
    }
    let leader = three.leader().await;
    three.running[&leader].group.add_learner(4, &addresses[&4].to_string()).await.unwrap();
    fourth.await.unwrap().unwrap();
    assert!(three.send(leader, "after").await);
    assert_eq!(three.converge().await.1, ["before", "after"]);
    three.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_hands_over_while_messages_are_sent() {
    // Nobody is elected but by being handed the lead.
    let three = Three::found_with(FlushMode::Async, timing(600_000), Wires::Process).await;
    let mut leader = three.leader().await;
    let mut confirmed = Vec::new();
    for _ in 0..4 {
        let next = leader % 3 + 1;
        let stopping = CancellationToken::new();
        let sender = tokio::spawn(send_on(Arc::clone(&three.running[&leader].store), stopping.clone()));
        sleep(Duration::from_millis(50)).await;
        three.running[&leader].group.transfer(next).await.unwrap();
        stopping.cancel();
        confirmed.push(sender.await.unwrap());
        assert_eq!(three.leader().await, next);
        assert!(three.send(next, "first").await);
        leader = next;
    }
    assert_eq!(three.running[&leader].group.figures().elections, 5);
    let nobody = three.running[&leader].group.transfer(7).await;
    assert!(matches!(nobody, Err(GroupError::Unknown { number: 7, .. })), "{nobody:?}");
    let (_, seen) = three.converge().await;
    for confirmed in confirmed {
        assert!(!confirmed.is_empty() && holds(&seen, &confirmed));
    }
    three.end().await;
}

/// Cuts and stops, as chance has it, while somebody sends: what was confirmed is there, in its order, on all members.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_confirmed_is_lost() {
    let seed = std::env::var("RAFT_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    eprintln!("RAFT_SEED={seed}");
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut three = Three::found(FlushMode::Async, Wires::Process).await;
    let (mut confirmed, mut changed) = (Vec::new(), BTreeMap::new());
    for round in 0..15 {
        let leader = three.leader().await;
        for number in 0..chance.usize(1..20) {
            let body = format!("{round}-{number}-{}", "x".repeat(chance.usize(0..3000)));
            if !three.send(leader, &body).await {
                break;
            }
            confirmed.push(body);
            let change = format!("{round}={number}");
            if three.change(leader, &change).await {
                changed.insert(round.to_string(), number);
            }
        }
        // One thing at a time: there is always a majority that can agree.
        three.heal();
        let one = chance.u64(1..=3);
        match chance.u8(0..5) {
            4 => three.wipe_and_fill(one).await,
            0 => three.cut_off(one),
            1 => {
                three.stop(one).await;
                three.start(one).await;
            }
            2 => {
                let other = (1..=3).find(|other| *other != one).unwrap();
                three.network.cuts.lock().insert((one, other));
            }
            _ => three.heal(),
        }
        // Somebody sends to whoever led, who may not know yet that that is over.
        let body = format!("{round}-late");
        if three.send(leader, &body).await {
            confirmed.push(body);
        }
        if chance.bool() {
            three.heal();
        }
    }
    three.heal();
    let (_, seen) = three.converge().await;
    assert!(holds(&seen, &confirmed), "seed {seed}: {} confirmed, {} seen", confirmed.len(), seen.len());
    let state = three.state().await;
    for (round, number) in changed {
        let found = state.get(&round).and_then(|found| found.parse::<usize>().ok());
        // The last change of a round may be there without that anybody was told so.
        assert!(found.is_some_and(|found| found >= number), "seed {seed}: {round} is {found:?}, and was {number}");
    }
    assert!(confirmed.len() > 15, "seed {seed}: only {} were confirmed", confirmed.len());
    three.end().await;
}
