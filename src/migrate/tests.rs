use std::time::Duration;

use super::args::{Act, Masters, Pace};
use super::*;

fn read(line: &str) -> Result<Option<MigrateArgs>, String> {
    parse(&mut lexopt::Parser::from_args(line.split_whitespace()))
}

#[test]
fn a_move_is_planned_run_compared_and_taken_back() {
    let args = read("plan -n a:1;b:1 --cluster c --sets x,y --masters switch --into d=e --keep-name-servers")
        .unwrap()
        .unwrap();
    assert_eq!(args.act, Act::Plan);
    assert_eq!(args.name_servers.as_deref(), Some("a:1;b:1"));
    assert_eq!(args.scope.sets, ["x", "y"]);
    assert_eq!(args.scope.masters, Masters::Switch);
    assert_eq!(args.scope.into, [("d".to_owned(), "e".to_owned())]);
    assert!(args.scope.keep_name_servers);
    assert_eq!(args.state.to_str(), Some("migration.json"));
    let args = read("run --hooks h --yes --until 3 --accept acl,tls --route-poll 1 --samples 7").unwrap().unwrap();
    assert_eq!(args.act, Act::Run { until: Some(3) });
    assert!(args.yes);
    assert_eq!(args.accept, ["acl", "tls"]);
    assert_eq!(args.pace, Pace { route_poll: Duration::from_secs(1), samples: 7, ..Pace::default() });
    assert_eq!(read("rollback --state s").unwrap().unwrap().act, Act::Rollback { to: 0 });
    assert_eq!(read("verify --json").unwrap().unwrap().act, Act::Verify);
    assert_eq!(read("run -h"), Ok(None));
}

#[test]
fn what_is_wrong_with_a_migrate_command_is_said() {
    let check = |line: &str, expect: &str| assert_eq!(read(line).unwrap_err(), expect, "{line}");
    check("", "which migrate command? There are plan, run, verify and rollback");
    check("go", "there is no migrate command \"go\"; the commands are plan, run, verify and rollback");
    check("plan", "plan looks at a cluster through its name servers: -n host:port");
    check("run -n a:1", "-n is for plan: the state file knows the name servers");
    check("run --sets a", "--sets, --keep-name-servers, --masters, --into and --cluster are for plan");
    check("plan -n a:1 --until 2", "--until is for run");
    check("run --to 2", "--to is for rollback");
    check("run --json", "--json is for plan and verify");
    check("plan -n a:1 --masters away", "--masters is in-place or switch, not \"away\"");
    check("plan -n a:1 --into a", "--into wants two broker sets, such as broker-a=broker-r, not \"a\"");
}

#[test]
fn what_would_break_stops_a_run_until_it_is_accepted() {
    let finding = |check: &str, weight| Finding { check: check.into(), weight, at: "a".into(), what: "w".into() };
    let findings = [finding("acl", Weight::Blocks), finding("acl", Weight::Blocks), finding("tls", Weight::Warns)];
    let err = unblocked(&findings, &[]).unwrap_err().to_string();
    assert!(err.ends_with("if you know better, --accept acl"), "{err}");
    assert!(unblocked(&findings, &["acl".to_owned()]).is_ok());
}

#[tokio::test]
async fn a_plan_needs_a_name_server_that_answers() {
    let folder = tempfile::tempdir().unwrap();
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut args = read(&format!("plan -n {free}")).unwrap().unwrap();
    args.state = folder.path().join("state.json");
    let err = act(args).await.unwrap_err().to_string();
    assert!(err.starts_with(&format!("no name server answers: {free}: connect to {free}: ")), "{err}");
    let mut args = read("run --yes").unwrap().unwrap();
    args.state = folder.path().join("state.json");
    let err = act(args).await.unwrap_err().to_string();
    assert!(err.ends_with("is not there: `ferromq migrate plan -n <name servers>` makes it"), "{err}");
}
