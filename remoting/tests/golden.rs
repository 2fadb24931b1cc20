//! What Java's peers and servers said, read and written again.
//!
//! The frames are in `compat-tests/golden/frames`; its README says how they were recorded and named.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use bytes::{Bytes, BytesMut};
use remoting::body::{
    BatchAckBody, BrokerMemberGroupBody, BrokerStatsData, CheckClientRequestBody, ClusterInfo, ColdDataFlow,
    ConsumeStats, ConsumeStatsList, ConsumerConnection, ConsumerIdList, ConsumerOffsets, ConsumerStatusBody,
    CorrectionOffsets, CreateTopicListBody, DataVersion, DelayOffsets, GroupForbidden, GroupList, HaRuntimeInfo,
    HeartbeatData, KvTable, LockBatchRequestBody, LockBatchResponseBody, MessageRequestMode, MessageRequestModes,
    ProducerConnection, ProducerTableInfo, QueryAssignmentBody, QueryAssignmentReplyBody, QuerySubscriptionBody,
    QueueTimeSpanList, RegisterBrokerBody, ResetOffsetBody, SubscriptionGroupConfig, SubscriptionGroupList,
    SubscriptionGroupWrapper, TimerMetrics, TopicConfig, TopicConfigWrapper, TopicList, TopicRouteData,
    TopicStatsTable, UnlockBatchRequestBody, fastjson,
};
use remoting::config::Properties;
use remoting::frame::{ExtFields, FrameCodec, RemotingCommand, Serialization};
use remoting::header::{DecodeHeader, EncodeHeader, FieldSink, HeaderError, Request};
use remoting::protocol::{RequestCode, ResponseCode};
use remoting::protocol::{
    admin, assignment, callback, client, cold_data, config, group, ha, kv, offset, pop, pull, query, register, route,
    send, timer, topic, transaction,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio_util::codec::{Decoder, Encoder};

/// Every request we declare, with what is in its body and in that of its answer.
fn kinds() -> Vec<Kind> {
    const MESSAGES: Body = Body::Elsewhere("the store knows stored messages");
    const OF_MESSAGE: Body = Body::Elsewhere("the broker knows what producers put there");
    const RELAYED: Body = Body::Elsewhere("relayed as it is");
    vec![
        kind::<send::SendMessage>(OF_MESSAGE, Body::Empty)
            .also(&[RequestCode::SEND_MESSAGE_V2, RequestCode::SEND_BATCH_MESSAGE]),
        kind::<send::SendReply>(OF_MESSAGE, Body::Empty).also(&[RequestCode::SEND_REPLY_MESSAGE_V2]),
        kind::<send::ConsumerSendMsgBack>(Body::Empty, Body::Empty),
        kind::<pull::PullMessage>(Body::Empty, MESSAGES).also(&[RequestCode::LITE_PULL_MESSAGE]),
        kind::<pop::PopMessage>(Body::Empty, MESSAGES),
        kind::<pop::AckMessage>(Body::Empty, Body::Empty),
        kind::<pop::BatchAckMessage>(json::<BatchAckBody>(), Body::Empty),
        kind::<pop::ChangeInvisibleTime>(Body::Empty, Body::Empty),
        kind::<pop::Notification>(Body::Empty, Body::Empty),
        kind::<pop::PollingInfo>(Body::Empty, Body::Empty),
        kind::<pop::PeekMessage>(Body::Empty, MESSAGES),
        kind::<pop::PopRollback>(Body::Empty, Body::Empty),
        kind::<assignment::QueryAssignment>(json::<QueryAssignmentBody>(), json::<QueryAssignmentReplyBody>()),
        kind::<assignment::SetMessageRequestMode>(json::<MessageRequestMode>(), Body::Empty),
        kind::<assignment::GetAllMessageRequestMode>(Body::Empty, json::<MessageRequestModes>()),
        kind::<query::ViewMessageById>(Body::Empty, MESSAGES),
        kind::<query::QueryMessage>(Body::Empty, MESSAGES),
        kind::<query::QueryConsumeQueue>(Body::Empty, Body::Elsewhere("declared beside its handler")),
        kind::<offset::QueryConsumerOffset>(Body::Empty, Body::Empty),
        kind::<offset::UpdateConsumerOffset>(Body::Empty, Body::Empty),
        kind::<offset::SearchOffset>(Body::Empty, Body::Empty),
        kind::<offset::GetMaxOffset>(Body::Empty, Body::Empty),
        kind::<offset::GetMinOffset>(Body::Empty, Body::Empty),
        kind::<offset::GetEarliestStoreTime>(Body::Empty, Body::Empty),
        kind::<offset::ResetOffset>(Body::Empty, json::<ResetOffsetBody>()),
        kind::<offset::CloneGroupOffset>(Body::Empty, Body::Empty),
        kind::<offset::QueryCorrectionOffset>(Body::Empty, json::<CorrectionOffsets>()),
        kind::<offset::GetAllConsumerOffset>(Body::Empty, json::<ConsumerOffsets>()),
        kind::<offset::GetAllDelayOffset>(Body::Empty, json::<DelayOffsets>()),
        kind::<timer::RecallMessage>(Body::Empty, Body::Empty),
        kind::<timer::GetTimerCheckPoint>(Body::Empty, Body::Elsewhere("the store knows the timer's checkpoint")),
        kind::<timer::GetTimerMetrics>(Body::Empty, json::<TimerMetrics>()),
        kind::<timer::SwitchTimerEngine>(Body::Empty, Body::Empty),
        kind::<topic::UpdateTopic>(Body::Empty, Body::Empty),
        kind::<topic::UpdateTopicList>(json::<CreateTopicListBody>(), Body::Empty),
        kind::<topic::GetAllTopicConfig>(Body::Empty, json::<TopicConfigWrapper>()),
        kind::<topic::DeleteTopic>(Body::Empty, Body::Empty),
        kind::<topic::GetTopicConfig>(Body::Empty, json::<TopicConfig>()),
        kind::<topic::GetTopicStats>(Body::Empty, json::<TopicStatsTable>()),
        kind::<topic::QueryTopicConsumers>(Body::Empty, json::<GroupList>()),
        kind::<topic::QueryTopicsByConsumer>(Body::Empty, json::<TopicList>()),
        kind::<topic::GetBrokerSystemTopics>(Body::Empty, json::<TopicList>()),
        kind::<topic::CleanUnusedTopic>(Body::Empty, Body::Empty),
        kind::<group::UpdateGroup>(json::<SubscriptionGroupConfig>(), Body::Empty),
        kind::<group::UpdateGroupList>(json::<SubscriptionGroupList>(), Body::Empty),
        kind::<group::GetAllGroupConfig>(Body::Empty, json::<SubscriptionGroupWrapper>()),
        kind::<group::GetGroupConfig>(Body::Empty, json::<SubscriptionGroupConfig>()),
        kind::<group::DeleteGroup>(Body::Empty, Body::Empty),
        kind::<group::GetConsumeStats>(Body::Empty, json::<ConsumeStats>()),
        kind::<group::GetBrokerConsumeStats>(Body::Empty, json::<ConsumeStatsList>()),
        kind::<group::QueryConsumeTimeSpan>(Body::Empty, json::<QueueTimeSpanList>()),
        kind::<group::QuerySubscription>(Body::Empty, json::<QuerySubscriptionBody>()),
        kind::<group::UpdateGroupForbidden>(Body::Empty, json::<GroupForbidden>()),
        kind::<client::Heartbeat>(json::<HeartbeatData>(), Body::Empty),
        kind::<client::UnregisterClient>(Body::Empty, Body::Empty),
        kind::<client::CheckClientConfig>(json::<CheckClientRequestBody>(), Body::Empty),
        kind::<client::GetConsumerList>(Body::Empty, json::<ConsumerIdList>()),
        kind::<client::LockBatch>(json::<LockBatchRequestBody>(), json::<LockBatchResponseBody>()),
        kind::<client::UnlockBatch>(json::<UnlockBatchRequestBody>(), Body::Empty),
        kind::<client::GetConsumerConnections>(Body::Empty, json::<ConsumerConnection>()),
        kind::<client::GetProducerConnections>(Body::Empty, json::<ProducerConnection>()),
        kind::<client::GetAllProducers>(Body::Empty, json::<ProducerTableInfo>()),
        kind::<callback::NotifyConsumerIdsChanged>(Body::Empty, Body::Empty),
        kind::<callback::ResetClientOffset>(json::<ResetOffsetBody>(), Body::Empty),
        kind::<callback::GetConsumerStatusFromClient>(Body::Empty, json::<ConsumerStatusBody>()),
        kind::<callback::GetConsumerStatus>(Body::Empty, json::<ConsumerStatusBody>()),
        kind::<callback::GetConsumerRunningInfo>(Body::Empty, RELAYED),
        kind::<callback::ConsumeMessageDirectly>(RELAYED, RELAYED),
        kind::<callback::PushReply>(OF_MESSAGE, Body::Empty),
        kind::<transaction::EndTransaction>(Body::Empty, Body::Empty),
        kind::<transaction::CheckTransactionState>(MESSAGES, Body::Empty),
        kind::<transaction::ResumeCheckHalfMessage>(Body::Empty, Body::Empty),
        kind::<admin::GetBrokerRuntimeInfo>(Body::Empty, json::<KvTable>()),
        kind::<admin::DeleteExpiredCommitLog>(Body::Empty, Body::Empty),
        kind::<admin::CleanExpiredConsumeQueue>(Body::Empty, Body::Empty),
        kind::<admin::ViewBrokerStats>(Body::Empty, json::<BrokerStatsData>()),
        kind::<cold_data::UpdateColdDataLimits>(Body::Properties, Body::Empty),
        kind::<cold_data::RemoveColdDataLimit>(Body::Elsewhere("the name of a group"), Body::Empty),
        kind::<cold_data::GetColdDataFlow>(Body::Empty, json::<ColdDataFlow>()),
        kind::<ha::ExchangeHaInfo>(Body::Empty, Body::Empty),
        kind::<ha::GetBrokerHaStatus>(Body::Empty, json::<HaRuntimeInfo>()),
        kind::<ha::ResetMasterFlushOffset>(Body::Empty, Body::Empty),
        kind::<config::UpdateBrokerConfig>(Body::Properties, Body::Empty),
        kind::<config::GetBrokerConfig>(Body::Empty, Body::Properties),
        kind::<config::UpdateNamesrvConfig>(Body::Properties, Body::Empty),
        kind::<config::GetNamesrvConfig>(Body::Empty, Body::Properties),
        kind::<kv::PutKvConfig>(Body::Empty, Body::Empty),
        kind::<kv::GetKvConfig>(Body::Empty, Body::Empty),
        kind::<kv::DeleteKvConfig>(Body::Empty, Body::Empty),
        kind::<kv::GetKvList>(Body::Empty, json::<KvTable>()),
        kind::<register::RegisterBroker>(json::<RegisterBrokerBody>(), json::<KvTable>()),
        kind::<register::UnregisterBroker>(Body::Empty, Body::Empty),
        kind::<register::QueryDataVersion>(json::<DataVersion>(), json::<DataVersion>()),
        kind::<register::BrokerHeartbeat>(Body::Empty, Body::Empty),
        kind::<register::GetBrokerMemberGroup>(Body::Empty, json::<BrokerMemberGroupBody>()),
        kind::<register::RegisterTopic>(json::<TopicRouteData>(), Body::Empty),
        kind::<register::NotifyMinBrokerId>(Body::Empty, Body::Empty),
        kind::<route::GetRoute>(Body::Empty, json::<TopicRouteData>()),
        kind::<route::GetClusterInfo>(Body::Empty, json::<ClusterInfo>()),
        kind::<route::GetAllTopics>(Body::Empty, json::<TopicList>()),
        kind::<route::GetTopicsByCluster>(Body::Empty, json::<TopicList>()),
        kind::<route::GetNamesrvSystemTopics>(Body::Empty, json::<TopicList>()),
        kind::<route::GetUnitTopics>(Body::Empty, json::<TopicList>()),
        kind::<route::GetUnitSubTopics>(Body::Empty, json::<TopicList>()),
        kind::<route::GetUnitSubUnunitTopics>(Body::Empty, json::<TopicList>()),
        kind::<route::WipeWritePerm>(Body::Empty, Body::Empty),
        kind::<route::AddWritePerm>(Body::Empty, Body::Empty),
        kind::<route::DeleteTopicInNamesrv>(Body::Empty, Body::Empty),
    ]
}

/// Recorded requests that we do not declare: only their frames are read.
const UNDECLARED: &[(RequestCode, &str)] = &[(RequestCode(4711), "nobody's number, to record how Java refuses one")];

/// Fields that peers add beside the header of whatever they say.
const BESIDE_THE_HEADER: &[(&str, &str)] = &[
    ("bname", "the broker that is meant; Java: RpcRequestHeader"),
    ("n", "the same among one-letter names"),
    ("lo", "whether the queue is one of a static topic; Java: TopicRequestHeader"),
    ("_UNIQUE_KEY_QUERY", "with queries by unique key; Java: MixAll"),
    ("ReqT", "that the client asks for a stream; Java: RequestType"),
    ("MSG_REGION", "with answers to sends; Java: AbstractSendMessageProcessor"),
    ("TRACE_ON", "with answers to sends; Java: AbstractSendMessageProcessor"),
];

/// The one-letter names of a send. Java: `SendMessageRequestHeaderV2`.
const SHORT_NAMES: &[(&str, &str)] = &[
    ("a", "producerGroup"),
    ("b", "topic"),
    ("c", "defaultTopic"),
    ("d", "defaultTopicQueueNums"),
    ("e", "queueId"),
    ("f", "sysFlag"),
    ("g", "bornTimestamp"),
    ("h", "flag"),
    ("i", "properties"),
    ("j", "reconsumeTimes"),
    ("k", "unitMode"),
    ("l", "maxReconsumeTimes"),
    ("m", "batch"),
];

/// Members of bodies that we leave out, as Java's readers of them do without.
const LEFT_OUT: &[(&str, &str)] = &[
    ("minTimeStampStr", "Java computes it from the number as it writes"),
    ("maxTimeStampStr", "Java computes it from the number as it writes"),
    ("consumeTimeStampStr", "Java computes it from the number as it writes"),
    ("topicQueueMappingDetailMap", "of static topics, left out where there are none, as 4.9 does"),
    ("topicQueueMappingInfoMap", "of static topics, left out where there are none, as 4.9 does"),
    ("pullOffsetTable", "a slave does not read it; Java: ConsumerOffsetSerializeWrapper"),
    ("groupTopicMap", "a slave does not read it; Java: ConsumerOffsetSerializeWrapper"),
];

struct Kind {
    codes: Vec<RequestCode>,
    request: Side,
    reply: Side,
}

/// One direction of a kind.
#[derive(Clone, Copy)]
struct Side {
    /// The typed header, read and written again.
    header: fn(&ExtFields) -> Result<Fields, HeaderError>,
    body: Body,
}

#[derive(Clone, Copy)]
enum Body {
    Empty,
    /// The body's type, read and written again.
    Json(fn(&[u8]) -> serde_json::Result<String>),
    /// Lines of `key=value`.
    Properties,
    /// Not a matter of this crate, and why.
    Elsewhere(#[allow(dead_code, reason = "says why to who reads the table")] &'static str),
}

fn kind<R: Request>(body: Body, reply_body: Body) -> Kind {
    Kind {
        codes: vec![R::CODE],
        request: Side { header: rewritten_header::<R>, body },
        reply: Side { header: rewritten_header::<R::Reply>, body: reply_body },
    }
}

impl Kind {
    /// Other requests of the same shape.
    fn also(mut self, codes: &[RequestCode]) -> Self {
        self.codes.extend(codes);
        self
    }
}

fn rewritten_header<H: DecodeHeader + EncodeHeader>(ext: &ExtFields) -> Result<Fields, HeaderError> {
    let mut fields = Fields::default();
    H::decode(ext)?.encode(&mut fields);
    Ok(fields)
}

fn json<T: Serialize + DeserializeOwned>() -> Body {
    Body::Json(|body| fastjson::read::<T>(body).map(|read| fastjson::write(&read)))
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Fields(BTreeMap<String, String>);

impl FieldSink for Fields {
    fn put(&mut self, key: &str, value: &str) {
        let earlier = self.0.insert(key.to_owned(), value.to_owned());
        assert_eq!(earlier, None, "{key} is written twice");
    }
}

/// A file of `compat-tests/golden/frames`: `<request code>[.binary][.code<answer>][.in-binary].<request or response>`.
struct Recorded {
    name: String,
    /// Of the request, also for answers.
    code: RequestCode,
    is_response: bool,
    /// What the name says, and what a request or an answer is by default.
    answered: ResponseCode,
    bytes: Bytes,
}

impl Recorded {
    fn all() -> Vec<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../compat-tests/golden/frames");
        let files = fs::read_dir(&folder).unwrap_or_else(|err| panic!("{}: {err}", folder.display()));
        files.map(|file| Self::read(&file.expect("a file").path())).collect()
    }

    fn read(path: &Path) -> Self {
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
        let mut parts: Vec<&str> = name.split('.').collect();
        let is_response = match parts.pop() {
            Some("request") => false,
            Some("response") => true,
            _ => panic!("{name} is neither request nor response"),
        };
        let code = RequestCode(parts[0].parse().unwrap_or_else(|err| panic!("{name}: {err}")));
        let answered = parts.iter().find_map(|part| part.strip_prefix("code")?.parse().ok()).unwrap_or(0);
        let bytes = fs::read(path).unwrap_or_else(|err| panic!("{name}: {err}")).into();
        Self { name, code, is_response, answered: ResponseCode(answered), bytes }
    }

    fn serialization(&self) -> Serialization {
        if self.bytes[4] == 0 { Serialization::Json } else { Serialization::Binary }
    }

    fn command(&self) -> RemotingCommand {
        let mut buffer = BytesMut::from(&self.bytes[..]);
        let command = FrameCodec::default().decode(&mut buffer).unwrap_or_else(|err| panic!("{}: {err}", self.name));
        assert!(buffer.is_empty(), "{}: {} bytes are left", self.name, buffer.len());
        command.unwrap_or_else(|| panic!("{} is not a whole frame", self.name))
    }

    /// The header's bytes and the body's.
    fn parts(frame: &[u8]) -> (&[u8], &[u8]) {
        let header_length = u32::from_be_bytes([0, frame[5], frame[6], frame[7]]) as usize;
        frame[8..].split_at(header_length)
    }

    fn is_success(&self) -> bool {
        self.is_response && self.answered == ResponseCode::SUCCESS
    }
}

fn kind_of(kinds: &[Kind], code: RequestCode) -> Option<&Kind> {
    kinds.iter().find(|kind| kind.codes.contains(&code))
}

#[test]
fn frames_are_what_their_names_say() {
    for recorded in Recorded::all() {
        let (command, name) = (recorded.command(), &recorded.name);
        assert_eq!(command.is_response(), recorded.is_response, "{name}");
        let expected = if recorded.is_response { recorded.answered.0 } else { recorded.code.0 };
        assert_eq!(command.code, expected, "{name}");
        assert_eq!(command.language.name(), "JAVA", "{name}");
        assert_eq!(command.version.0, 513, "{name}");
    }
}

/// Binary frames to the same bytes, JSON ones to the same header and the same bytes of body.
#[test]
fn frames_are_written_as_java_writes_them() {
    for recorded in Recorded::all() {
        let name = &recorded.name;
        let mut written = BytesMut::new();
        FrameCodec::writing(recorded.serialization()).encode(&recorded.command(), &mut written).expect("a frame");
        if recorded.serialization() == Serialization::Binary {
            assert_eq!(written, recorded.bytes, "{name}");
            continue;
        }
        let ((header, body), (java_header, java_body)) = (Recorded::parts(&written), Recorded::parts(&recorded.bytes));
        let header: Value = serde_json::from_slice(header).expect("a header");
        let mut java_header: Value = serde_json::from_slice(java_header).expect("a header");
        // We always write the object, as some of Java's handlers stumble where there is none.
        if java_header["extFields"].is_null() {
            java_header["extFields"] = Value::Object(serde_json::Map::new());
        }
        assert_eq!(header, java_header, "{name}");
        assert_eq!(body, java_body, "{name}");
    }
}

#[test]
fn headers_have_all_fields_that_java_sends() {
    let kinds = kinds();
    for recorded in Recorded::all() {
        let Some(kind) = kind_of(&kinds, recorded.code) else { continue };
        let (command, name) = (recorded.command(), &recorded.name);
        // A refusal has no header; other answers than success may.
        if recorded.is_response && !recorded.is_success() && command.ext.is_empty() {
            continue;
        }
        let short = [RequestCode::SEND_MESSAGE_V2, RequestCode::SEND_BATCH_MESSAGE, RequestCode::SEND_REPLY_MESSAGE_V2];
        let is_short = short.contains(&recorded.code);
        let side = if recorded.is_response { &kind.reply } else { &kind.request };
        let ours = (side.header)(&command.ext).unwrap_or_else(|err| panic!("{name}: {err}"));
        let mut java = Fields::default();
        for (key, value) in command.ext.iter() {
            if BESIDE_THE_HEADER.iter().any(|(beside, _)| *beside == key) && !ours.0.contains_key(key) {
                continue;
            }
            let long = SHORT_NAMES.iter().find(|(short, _)| is_short && !recorded.is_response && *short == key);
            java.put(long.map_or(key, |(_, long)| long), value);
        }
        assert_eq!(ours, java, "{name}");
    }
}

#[test]
fn bodies_have_all_members_that_java_sends() {
    let kinds = kinds();
    let mut different = Vec::new();
    for recorded in Recorded::all() {
        let Some(kind) = kind_of(&kinds, recorded.code) else { continue };
        let (body, name) = (recorded.command().body, &recorded.name);
        let expected = match (recorded.is_response, recorded.is_success()) {
            (false, _) => kind.request.body,
            (true, true) => kind.reply.body,
            (true, false) => Body::Empty,
        };
        match expected {
            Body::Empty => assert_eq!(String::from_utf8_lossy(&body), "", "{name}"),
            Body::Elsewhere(_) => {}
            Body::Properties => {
                let text = str::from_utf8(&body).unwrap_or_else(|err| panic!("{name}: {err}"));
                let read = Properties::parse(text).unwrap_or_else(|err| panic!("{name}: {err}"));
                let lines: String = read.iter().map(|one| format!("{}={}\n", one.key, one.value)).collect();
                assert_eq!(lines, text, "{name}");
            }
            Body::Json(rewrite) => {
                let ours = rewrite(&body).unwrap_or_else(|err| panic!("{name}: {err}"));
                let mut java: Value = fastjson::read(&body).unwrap_or_else(|err| panic!("{name}: {err}"));
                remove(&mut java, LEFT_OUT);
                let ours: Value = fastjson::read(ours.as_bytes()).unwrap_or_else(|err| panic!("{name}: {err}"));
                differences(&ours, &java, name, &mut different);
            }
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

/// Where the two differ, as lines of a path and both values.
fn differences(ours: &Value, java: &Value, path: &str, lines: &mut Vec<String>) {
    match (ours, java) {
        (Value::Object(ours), Value::Object(java)) => {
            for name in ours.keys().chain(java.keys()).collect::<BTreeSet<_>>() {
                let member = |members: &serde_json::Map<_, _>| members.get(name).cloned().unwrap_or_default();
                differences(&member(ours), &member(java), &format!("{path}/{name}"), lines);
            }
        }
        (Value::Array(ours), Value::Array(java)) if ours.len() == java.len() => {
            for (at, (ours, java)) in ours.iter().zip(java).enumerate() {
                differences(ours, java, &format!("{path}/{at}"), lines);
            }
        }
        _ if ours == java => {}
        _ => lines.push(format!("{path}: ours {ours}, Java's {java}")),
    }
}

/// Removes members wherever they are.
fn remove(value: &mut Value, names: &[(&str, &str)]) {
    match value {
        Value::Object(members) => {
            members.retain(|name, _| !names.iter().any(|(removed, _)| removed == name));
            members.values_mut().for_each(|member| remove(member, names));
        }
        Value::Array(elements) => elements.iter_mut().for_each(|element| remove(element, names)),
        _ => {}
    }
}

/// Codes of `docs/requests.md` that one of our processes answers, and those that one asks.
fn ours() -> (BTreeSet<RequestCode>, BTreeSet<RequestCode>) {
    let (mut answered, mut asked) = (BTreeSet::new(), BTreeSet::new());
    for line in include_str!("../../docs/requests.md").lines() {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [code, _, _, by, why_not] = cells[..] else { continue };
        let Ok(code) = code.parse().map(RequestCode) else { continue };
        if !by.is_empty() {
            answered.insert(code);
        } else if why_not.contains("our broker asks") {
            asked.insert(code);
        }
    }
    assert!(answered.len() > 50, "the table of requests was not understood");
    (answered, asked)
}

#[test]
fn every_request_we_know_is_recorded() {
    let kinds = kinds();
    let (answered, asked) = ours();
    let codes: Vec<RequestCode> = kinds.iter().flat_map(|kind| kind.codes.iter().copied()).collect();
    let declared: BTreeSet<RequestCode> = codes.iter().copied().collect();
    assert_eq!(codes.len(), declared.len(), "a code is declared twice");
    let missing: Vec<_> = answered.union(&asked).filter(|code| !declared.contains(code)).collect();
    assert!(missing.is_empty(), "answered or asked, and not in this test: {missing:?}");

    let recorded = Recorded::all();
    let with = |is: fn(&Recorded) -> bool| -> BTreeSet<RequestCode> {
        recorded.iter().filter(|recorded| is(recorded)).map(|recorded| recorded.code).collect()
    };
    let (requests, successes) = (with(|recorded| !recorded.is_response), with(Recorded::is_success));
    let missing: Vec<_> = declared.difference(&requests).collect();
    assert!(missing.is_empty(), "no recorded request: {missing:?}");
    let missing: Vec<_> = answered.difference(&successes).collect();
    assert!(missing.is_empty(), "no recorded answer of success: {missing:?}");
}

#[test]
fn every_recorded_frame_is_read() {
    let kinds = kinds();
    let undeclared = |code| UNDECLARED.iter().any(|(known, _)| *known == code);
    for recorded in Recorded::all() {
        let declared = kind_of(&kinds, recorded.code).is_some();
        assert!(declared != undeclared(recorded.code), "{}: declared {declared}", recorded.name);
    }
}
