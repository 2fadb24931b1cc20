use std::ffi::OsString;

use super::args::Spread;
use super::*;

fn read(line: &str) -> Result<Option<GroupArgs>, String> {
    parse(&mut lexopt::Parser::from_args(line.split_whitespace().map(OsString::from)))
}

#[test]
fn a_group_is_named_by_a_broker_or_by_name_servers() {
    let check = |line: &str, act: Act, at: At| {
        assert_eq!(read(line), Ok(Some(GroupArgs::One { act, at, credentials: None })), "{line}")
    };
    let broker = || At::Broker("a:10911".to_owned());
    check("status -b a:10911", Act::Status { json: false }, broker());
    check("--json status --brokerAddr=a:10911", Act::Status { json: true }, broker());
    let set = At::Set { name_servers: "a:9876;b:9876".to_owned(), broker_name: "broker-a".to_owned() };
    check("transfer n1 -n a:9876;b:9876 --brokerName broker-a", Act::Transfer(MemberNumber(2)), set);
    check("promote n3 -b a:10911", Act::Promote(MemberNumber(4)), broker());
    check("remove -b a:10911 n0", Act::Remove(MemberNumber(1)), broker());
    let add = |learner| Act::Add { member: MemberNumber(4), address: "d:40911".to_owned(), learner };
    check("add n3 d:40911 -b a:10911", add(false), broker());
    check("add --learner -b a:10911 n3 d:40911", add(true), broker());
    let check = |line: &str, cluster: Option<&str>, dry_run| {
        let spread = Spread {
            name_servers: "a:9876".to_owned(),
            cluster: cluster.map(str::to_owned),
            dry_run,
            credentials: None,
        };
        assert_eq!(read(line), Ok(Some(GroupArgs::Spread(spread))), "{line}");
    };
    check("spread -n a:9876", None, false);
    check("spread --dry-run --cluster c -n a:9876", Some("c"), true);
    let Ok(Some(GroupArgs::One { credentials, .. })) = read("remove n1 -b a:1 --credentials t.yml") else {
        panic!("a change")
    };
    assert_eq!(credentials, Some("t.yml".into()));
    assert_eq!(read("status -h"), Ok(None));
}

#[test]
fn what_is_wrong_with_a_group_command_is_said() {
    let check = |line: &str, expect: &str| assert_eq!(read(line).unwrap_err(), expect, "{line}");
    check("-b a:1", "which group command? There are status, add, promote, remove, transfer and spread");
    check(
        "grow",
        "there is no group command \"grow\"; the commands are status, add, promote, remove, transfer and spread",
    );
    let spread = "spread looks at the groups that name servers know: -n host:port";
    check("spread -b a:1", spread);
    check("spread -n a:1 --brokerName b", spread);
    check("status -b a:1 --dry-run", "--cluster and --dry-run are for spread");
    check("status", "which group? Name a broker of it: -b host:port");
    check("status -n a:1", "-n and --brokerName find a broker together");
    check("status -b a:1 -n a:1", "name a broker with -b, or find one with -n and --brokerName, not both");
    check("add n3 -b a:1", "add whom? Its name and where the others reach it, such as add n3 10.0.0.4:40911");
    check("remove -b a:1", "remove wants one member, such as n1");
    check(
        "promote 3 -b a:1",
        "\"3\" is no member: a member is named as in its dLegerSelfId, a letter and digits such as n0",
    );
    check("remove n1 --json -b a:1", "--json is for status");
    check("promote n1 --learner -b a:1", "--learner is for add");
    check("status -x", "invalid option '-x'");
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_told_with_what_to_look_at() {
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let args = GroupArgs::One { act: Act::Status { json: false }, at: At::Broker(free.clone()), credentials: None };
    let err = act(args).await.unwrap_err().to_string();
    assert!(err.starts_with(&format!("connect to {free}: ")), "{err}");
    assert!(err.ends_with(&format!("is {free} the address for clients (listenPort)?")), "{err}");
}
