//! `ferromq group`: the Raft group of a broker, to look at and to change.

mod args;
mod catch_up;
mod spread;
mod text;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bytes::Bytes;
use remoting::body::{ClusterInfo, RaftGroupStatus, RaftRole, fastjson};
use remoting::client::Client;
use remoting::connection::CallError;
use remoting::header::Request;
use remoting::protocol::ResponseCode;
use remoting::protocol::raft::{ChangeGroup, GetGroupStatus, GroupChange};
use remoting::protocol::route::GetClusterInfo;
use remoting::signature::Credentials;
use remoting::types::{Clock, MemberNumber};

use args::{Act, At};
pub(crate) use args::{GroupArgs, parse, parse_ready};
pub(crate) use text::table;

use crate::ask;

#[derive(Debug, thiserror::Error)]
enum ToolError {
    #[error("{cause}: is a process running there, and is {at} the address for clients (listenPort)?")]
    Unreachable { at: String, cause: CallError },
    #[error(
        "the broker at {at} is in no Raft group, or none of Ferromq: enableDLegerCommitLog=true, dLegerGroup, dLegerPeers and \
         dLegerSelfId put one in a group as it starts"
    )]
    NoGroup { at: String },
    #[error("{remark}; without most of its members a group changes nothing: `ferromq group status` shows who is there")]
    NoLeader { remark: String },
    #[error("{remark}")]
    Behind { remark: String },
    #[error("{remark}")]
    Refused { remark: String },
    #[error("the answer of {at} is not understood, is it of another version? {cause}")]
    Answer { at: String, cause: String },
    #[error("-n names no name server")]
    NoNameServer,
    #[error("no name server knows a broker set {name}; those known are: {known}")]
    NoSet { name: String, known: String },
    #[error("no name server knows a cluster {name}; those known are: {known}")]
    NoCluster { name: String, known: String },
    #[error("not all leads are where they were to be: {failed}")]
    NotSpread { failed: String },
    #[error("read the credentials in {}: {cause}", .path.display())]
    Credentials { path: PathBuf, cause: String },
    #[error("not ready: {why}")]
    Unready { why: String },
    #[error("{member} has been taken out of the group meanwhile")]
    Removed { member: MemberNumber },
}

/// Whether the broker at this address serves, and has what its group has if it is in one.
pub(crate) fn ready(broker: String) -> ExitCode {
    ask::end(async move {
        let client = ask::client();
        let asked = Desk { client: &client, broker: String::new(), credentials: None }.status_of(&broker).await;
        client.close().await;
        match asked {
            Ok(RaftGroupStatus { unready: Some(why), .. }) => Err(ToolError::Unready { why }),
            // A broker of its own serves if it answers.
            Ok(_) | Err(ToolError::NoGroup { .. }) => Ok("ready\n".to_owned()),
            Err(err) => Err(err),
        }
    })
}

/// Does what the command line asks for; results go to the standard output, progress to the standard error.
pub(crate) fn run(args: GroupArgs) -> ExitCode {
    ask::end(act(args))
}

async fn act(args: GroupArgs) -> Result<String, ToolError> {
    let client = ask::client();
    let done = match args {
        GroupArgs::One { act, at, credentials } => act_on(&client, act, at, credentials.as_deref()).await,
        GroupArgs::Spread(args) => spread::spread(&client, &args).await,
    };
    client.close().await;
    done
}

async fn act_on(client: &Client, act: Act, at: At, credentials: Option<&Path>) -> Result<String, ToolError> {
    let credentials = credentials.map(read_credentials).transpose()?;
    let broker = match at {
        At::Broker(broker) => broker,
        At::Set { name_servers, broker_name } => find_broker(client, &name_servers, &broker_name).await?,
    };
    Desk { client, broker, credentials }.act(act).await
}

/// The leader of a broker set, or any other broker of it.
async fn find_broker(client: &Client, name_servers: &str, name: &str) -> Result<String, ToolError> {
    let broker = |ClusterInfo { broker_addr_table: sets, .. }: ClusterInfo| {
        let set = sets.iter().find(|(known, _)| &***known == name).map(|(_, set)| set);
        let known = || sets.keys().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let broker = set.and_then(|set| set.master().or(set.broker_addrs.values().next().map(String::as_str)));
        broker.map(str::to_owned).ok_or_else(|| ToolError::NoSet { name: name.to_owned(), known: known() })
    };
    ask_name_servers(client, name_servers, broker).await
}

/// What is wanted of the brokers that name servers know, by the first of those that can tell.
async fn ask_name_servers<T>(
    client: &Client,
    name_servers: &str,
    mut wanted: impl FnMut(ClusterInfo) -> Result<T, ToolError>,
) -> Result<T, ToolError> {
    let mut outcome = Err(ToolError::NoNameServer);
    for at in ask::addresses(name_servers) {
        let told = call(client, &at, &GetClusterInfo {}).await;
        let info = told.and_then(|body| fastjson::read(&body).map_err(|err| not_understood(&at, &err)));
        outcome = info.and_then(&mut wanted);
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

async fn call<R: Request>(client: &Client, at: &str, header: &R) -> Result<Bytes, ToolError> {
    let answer = ask::call(client, at, header, Bytes::new(), ask::ANSWER_MAX).await;
    answer.map(|answer| answer.body).map_err(|err| match err {
        CallError::Refused { code: ResponseCode::REQUEST_CODE_NOT_SUPPORTED, .. } => {
            ToolError::NoGroup { at: at.to_owned() }
        }
        CallError::Refused { code: ResponseCode::SERVICE_NOT_AVAILABLE, remark } => ToolError::NoLeader { remark },
        CallError::Refused { code: ResponseCode::SYSTEM_BUSY, remark } => ToolError::Behind { remark },
        CallError::Refused { remark, .. } => ToolError::Refused { remark },
        cause => ToolError::Unreachable { at: at.to_owned(), cause },
    })
}

fn not_understood(at: &str, cause: &dyn std::error::Error) -> ToolError {
    ToolError::Answer { at: at.to_owned(), cause: cause.to_string() }
}

/// Asks a group.
struct Desk<'a> {
    client: &'a Client,
    /// A broker of it.
    broker: String,
    /// Who asks.
    credentials: Option<Credentials>,
}

fn read_credentials(path: &Path) -> Result<Credentials, ToolError> {
    let text = fs::read_to_string(path).map_err(|err| err.to_string());
    let read = text.and_then(|text| Credentials::parse(&text));
    read.map_err(|cause| ToolError::Credentials { path: path.to_owned(), cause })
}

impl Desk<'_> {
    async fn act(&self, act: Act) -> Result<String, ToolError> {
        match act {
            Act::Status { json } => {
                let status = self.status().await?;
                if json {
                    let json = serde_json::to_value(&status).map_err(|err| not_understood(&self.broker, &err))?;
                    return Ok(format!("{json:#}\n"));
                }
                Ok(text::status(&status))
            }
            Act::Add { member, address, learner } => {
                self.change(GroupChange::Add, member, Some(address)).await?;
                if learner {
                    return Ok(format!(
                        "{member} is a learner: it gets the log, and does not count until `ferromq group promote {member}`\n"
                    ));
                }
                self.catch_up(member).await?;
                Ok(votes(member))
            }
            Act::Promote(member) => {
                self.change(GroupChange::Promote, member, None).await?;
                Ok(votes(member))
            }
            Act::Remove(member) => {
                self.change(GroupChange::Remove, member, None).await?;
                Ok(format!(
                    "{member} is out of the group: stop its broker. It may come back with an empty folder, under a name that \
                     the group has not had\n"
                ))
            }
            Act::Transfer(member) => {
                self.change(GroupChange::Transfer, member, None).await?;
                Ok(format!("{member} leads the group\n"))
            }
        }
    }

    /// What the leader tells, or the broker that was named if the leader cannot be asked.
    async fn status(&self) -> Result<RaftGroupStatus, ToolError> {
        let status = self.status_of(&self.broker).await?;
        if status.role == RaftRole::Leader {
            return Ok(status);
        }
        let leader = status.leader.and_then(|leader| status.member(leader)?.serves.clone());
        match leader {
            Some(leader) => Ok(self.status_of(&leader).await.unwrap_or(status)),
            None => Ok(status),
        }
    }

    async fn status_of(&self, at: &str) -> Result<RaftGroupStatus, ToolError> {
        let body = call(self.client, at, &GetGroupStatus {}).await?;
        fastjson::read(&body).map_err(|err| not_understood(at, &err))
    }

    async fn change(
        &self,
        change: GroupChange,
        member: MemberNumber,
        address: Option<String>,
    ) -> Result<(), ToolError> {
        let mut request = ChangeGroup::new(change, member, address);
        if let Some(credentials) = &self.credentials {
            request = request.signed(credentials, Clock::system().now());
        }
        call(self.client, &self.broker, &request).await.map(|_| ())
    }
}

fn votes(member: MemberNumber) -> String {
    format!("{member} has a vote now: it counts for a majority and may lead\n")
}

#[cfg(test)]
mod tests;
