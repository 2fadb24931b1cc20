//! Every request and response code of RocketMQ, and the few of our own, each named once.

use std::fmt;

use Process::{Broker, Client, Container, Controller, NameServer};
use Tier::{Clients, Nothing, Release5, Replication, Tools};

/// What a request asks for. Java: `RequestCode`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestCode(pub i32);

/// How a request ended. Java: `ResponseCode`, `RemotingSysResponseCode`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResponseCode(pub i32);

/// The kinds of process that answer requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Process {
    NameServer,
    Broker,
    Controller,
    /// Java's host of several brokers in one process.
    Container,
    /// A stock producer or consumer, or a proxy in their place, over the connection it opened.
    Client,
}

/// Whom a server disappoints that does not answer a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// Stock producers and consumers.
    Clients,
    /// mqadmin and dashboards.
    Tools,
    /// Brokers among themselves, and controllers.
    Replication,
    /// Those who use what only 5.x has.
    Release5,
    /// Nobody: the number is only reserved.
    Nothing,
}

/// One line of the table of requests.
#[derive(Clone, Copy, Debug)]
pub struct RequestKind {
    pub code: RequestCode,
    /// Java's name, or that of a request of our own.
    pub name: &'static str,
    pub tier: Tier,
    /// Which processes of the Java original answer it; none for numbers that are only reserved.
    pub answered_by: &'static [Process],
    /// Which stock peers send it.
    pub sent_by: &'static str,
}

macro_rules! request_codes {
    (
        $(#[$doc:meta])* $list:ident:
        $($number:literal $name:ident $tier:ident [$($process:ident),*] $sent_by:literal;)*
    ) => {
        impl RequestCode {
            $(pub const $name: Self = Self($number);)*

            $(#[$doc])*
            pub const $list: &'static [RequestKind] = &[$(RequestKind {
                code: Self::$name,
                name: stringify!($name),
                tier: $tier,
                answered_by: &[$($process),*],
                sent_by: $sent_by,
            },)*];
        }
    };
}

macro_rules! response_codes {
    ($($number:literal $name:ident;)*) => {
        impl ResponseCode {
            $(pub const $name: Self = Self($number);)*

            const NAMES: &'static [(i32, &'static str)] = &[$(($number, stringify!($name)),)*];
        }
    };
}

impl RequestCode {
    /// Java's name, or that of a request of our own; `None` for a number that nobody knows.
    pub fn name(self) -> Option<&'static str> {
        let find = |list: &'static [RequestKind]| {
            let at = list.binary_search_by_key(&self, |kind| kind.code).ok()?;
            Some(list[at].name)
        };
        find(Self::ALL).or_else(|| find(Self::OWN))
    }
}

impl ResponseCode {
    /// Java's name; `None` for a number that Java does not know either.
    pub fn name(self) -> Option<&'static str> {
        let at = Self::NAMES.binary_search_by_key(&self.0, |(number, _)| *number).ok()?;
        Some(Self::NAMES[at].1)
    }
}

macro_rules! print_code {
    ($($code:ty),*) => {
        $(impl fmt::Display for $code {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.name() {
                    Some(name) => write!(f, "{name} ({})", self.0),
                    None => write!(f, "{}", self.0),
                }
            }
        }

        impl fmt::Debug for $code {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        })*
    };
}

print_code!(RequestCode, ResponseCode);

request_codes! {
    /// Every code of RocketMQ, by number.
    ALL:
        10 SEND_MESSAGE Clients [Broker] "producer, Go client";
        11 PULL_MESSAGE Clients [Broker] "consumer, slave, proxy";
        12 QUERY_MESSAGE Tools [Broker] "mqadmin, producer, consumer";
        13 QUERY_BROKER_OFFSET Nothing [] "nobody";
        14 QUERY_CONSUMER_OFFSET Clients [Broker] "consumer, Go client, mqadmin, proxy";
        15 UPDATE_CONSUMER_OFFSET Clients [Broker] "consumer, Go client, mqadmin";
        17 UPDATE_AND_CREATE_TOPIC Tools [Broker] "mqadmin, producer";
        18 UPDATE_AND_CREATE_TOPIC_LIST Release5 [Broker] "mqadmin";
        21 GET_ALL_TOPIC_CONFIG Tools [Broker] "slave, mqadmin";
        22 GET_TOPIC_CONFIG_LIST Nothing [] "nobody";
        23 GET_TOPIC_NAME_LIST Nothing [] "nobody";
        25 UPDATE_BROKER_CONFIG Tools [Broker, Container] "mqadmin";
        26 GET_BROKER_CONFIG Tools [Broker, Container] "mqadmin";
        27 TRIGGER_DELETE_FILES Nothing [] "nobody";
        28 GET_BROKER_RUNTIME_INFO Tools [Broker] "mqadmin";
        29 SEARCH_OFFSET_BY_TIMESTAMP Clients [Broker] "consumer, Go client, mqadmin";
        30 GET_MAX_OFFSET Clients [Broker] "consumer, Go client, mqadmin";
        31 GET_MIN_OFFSET Clients [Broker] "consumer, mqadmin";
        32 GET_EARLIEST_MSG_STORETIME Tools [Broker] "mqadmin";
        33 VIEW_MESSAGE_BY_ID Tools [Broker] "mqadmin, consumer";
        34 HEART_BEAT Clients [Broker] "producer, consumer, Go client, proxy";
        35 UNREGISTER_CLIENT Clients [Broker] "producer, consumer";
        36 CONSUMER_SEND_MSG_BACK Clients [Broker] "consumer, Go client, proxy";
        37 END_TRANSACTION Clients [Broker] "producer, Go client";
        38 GET_CONSUMER_LIST_BY_GROUP Clients [Broker] "consumer, Go client, proxy";
        39 CHECK_TRANSACTION_STATE Clients [Client] "broker";
        40 NOTIFY_CONSUMER_IDS_CHANGED Clients [Client] "broker";
        41 LOCK_BATCH_MQ Clients [Broker] "consumer, Go client, broker";
        42 UNLOCK_BATCH_MQ Clients [Broker] "consumer, Go client";
        43 GET_ALL_CONSUMER_OFFSET Replication [Broker] "slave";
        45 GET_ALL_DELAY_OFFSET Replication [Broker] "slave";
        46 CHECK_CLIENT_CONFIG Clients [Broker] "consumer";
        47 GET_CLIENT_CONFIG Nothing [] "nobody";
        60 GET_TIMER_CHECK_POINT Replication [Broker] "slave";
        61 GET_TIMER_METRICS Replication [Broker] "slave";
       100 PUT_KV_CONFIG Tools [NameServer] "mqadmin";
       101 GET_KV_CONFIG Tools [NameServer] "mqadmin";
       102 DELETE_KV_CONFIG Tools [NameServer] "mqadmin";
       103 REGISTER_BROKER Replication [NameServer] "broker, slave";
       104 UNREGISTER_BROKER Replication [NameServer] "broker, slave";
       105 GET_ROUTEINFO_BY_TOPIC Clients [NameServer] "producer, consumer, Go client, mqadmin, broker, proxy";
       106 GET_BROKER_CLUSTER_INFO Tools [NameServer] "mqadmin, Go client, slave";
       200 UPDATE_AND_CREATE_SUBSCRIPTIONGROUP Tools [Broker] "mqadmin";
       201 GET_ALL_SUBSCRIPTIONGROUP_CONFIG Tools [Broker] "slave, mqadmin, Go client";
       202 GET_TOPIC_STATS_INFO Tools [Broker] "mqadmin";
       203 GET_CONSUMER_CONNECTION_LIST Tools [Broker] "mqadmin, proxy";
       204 GET_PRODUCER_CONNECTION_LIST Tools [Broker] "mqadmin";
       205 WIPE_WRITE_PERM_OF_BROKER Tools [NameServer] "mqadmin";
       206 GET_ALL_TOPIC_LIST_FROM_NAMESERVER Tools [NameServer] "mqadmin, Go client";
       207 DELETE_SUBSCRIPTIONGROUP Tools [Broker] "mqadmin";
       208 GET_CONSUME_STATS Tools [Broker] "mqadmin";
       209 SUSPEND_CONSUMER Nothing [] "nobody";
       210 RESUME_CONSUMER Nothing [] "nobody";
       211 RESET_CONSUMER_OFFSET_IN_CONSUMER Nothing [] "nobody";
       212 RESET_CONSUMER_OFFSET_IN_BROKER Nothing [] "nobody";
       213 ADJUST_CONSUMER_THREAD_POOL Nothing [] "nobody";
       214 WHO_CONSUME_THE_MESSAGE Nothing [] "nobody";
       215 DELETE_TOPIC_IN_BROKER Tools [Broker] "mqadmin, Go client";
       216 DELETE_TOPIC_IN_NAMESRV Tools [NameServer] "mqadmin, Go client";
       217 REGISTER_TOPIC_IN_NAMESRV Replication [NameServer] "broker";
       219 GET_KVLIST_BY_NAMESPACE Tools [NameServer] "mqadmin";
       220 RESET_CONSUMER_CLIENT_OFFSET Tools [Client] "broker";
       221 GET_CONSUMER_STATUS_FROM_CLIENT Tools [Client] "broker";
       222 INVOKE_BROKER_TO_RESET_OFFSET Tools [Broker] "mqadmin";
       223 INVOKE_BROKER_TO_GET_CONSUMER_STATUS Tools [Broker] "mqadmin";
       224 GET_TOPICS_BY_CLUSTER Tools [NameServer] "mqadmin";
       225 UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST Release5 [Broker] "mqadmin";
       300 QUERY_TOPIC_CONSUME_BY_WHO Tools [Broker] "mqadmin";
       301 REGISTER_FILTER_SERVER Nothing [] "nobody";
       302 REGISTER_MESSAGE_FILTER_CLASS Nothing [] "nobody";
       303 QUERY_CONSUME_TIME_SPAN Tools [Broker] "mqadmin";
       304 GET_SYSTEM_TOPIC_LIST_FROM_NS Tools [NameServer] "mqadmin";
       305 GET_SYSTEM_TOPIC_LIST_FROM_BROKER Tools [Broker] "mqadmin";
       306 CLEAN_EXPIRED_CONSUMEQUEUE Tools [Broker] "mqadmin";
       307 GET_CONSUMER_RUNNING_INFO Tools [Broker, Client] "mqadmin; broker to client";
       308 QUERY_CORRECTION_OFFSET Tools [Broker] "mqadmin";
       309 CONSUME_MESSAGE_DIRECTLY Tools [Broker, Client] "mqadmin; broker to client";
       310 SEND_MESSAGE_V2 Clients [Broker] "producer, broker";
       311 GET_UNIT_TOPIC_LIST Tools [NameServer] "mqadmin";
       312 GET_HAS_UNIT_SUB_TOPIC_LIST Tools [NameServer] "mqadmin";
       313 GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST Tools [NameServer] "mqadmin";
       314 CLONE_GROUP_OFFSET Tools [Broker] "mqadmin";
       315 VIEW_BROKER_STATS_DATA Tools [Broker] "mqadmin";
       316 CLEAN_UNUSED_TOPIC Tools [Broker] "mqadmin";
       317 GET_BROKER_CONSUME_STATS Tools [Broker] "mqadmin";
       318 UPDATE_NAMESRV_CONFIG Tools [NameServer] "mqadmin";
       319 GET_NAMESRV_CONFIG Tools [NameServer] "mqadmin";
       320 SEND_BATCH_MESSAGE Clients [Broker] "producer, Go client";
       321 QUERY_CONSUME_QUEUE Tools [Broker] "mqadmin";
       322 QUERY_DATA_VERSION Replication [NameServer] "broker";
       323 RESUME_CHECK_HALF_MESSAGE Tools [Broker] "mqadmin";
       324 SEND_REPLY_MESSAGE Clients [Broker] "Go client, producer";
       325 SEND_REPLY_MESSAGE_V2 Clients [Broker] "producer";
       326 PUSH_REPLY_MESSAGE_TO_CLIENT Clients [Client] "broker";
       327 ADD_WRITE_PERM_OF_BROKER Tools [NameServer] "mqadmin";
       328 GET_ALL_PRODUCER_INFO Tools [Broker] "mqadmin";
       329 DELETE_EXPIRED_COMMITLOG Tools [Broker] "mqadmin";
       343 QUERY_TOPICS_BY_CONSUMER Tools [Broker] "mqadmin";
       345 QUERY_SUBSCRIPTION_BY_CONSUMER Tools [Broker] "mqadmin";
       351 GET_TOPIC_CONFIG Tools [Broker] "mqadmin, broker";
       352 GET_SUBSCRIPTIONGROUP_CONFIG Tools [Broker] "mqadmin";
       353 UPDATE_AND_GET_GROUP_FORBIDDEN Release5 [Broker] "mqadmin";
       354 CHECK_ROCKSDB_CQ_WRITE_PROGRESS Release5 [Broker] "mqadmin";
       355 EXPORT_ROCKSDB_CONFIG_TO_JSON Release5 [Broker] "mqadmin";
       361 LITE_PULL_MESSAGE Clients [Broker] "consumer";
       370 RECALL_MESSAGE Release5 [Broker] "producer, proxy";
       400 QUERY_ASSIGNMENT Release5 [Broker] "consumer";
       401 SET_MESSAGE_REQUEST_MODE Release5 [Broker] "mqadmin";
       402 GET_ALL_MESSAGE_REQUEST_MODE Replication [Broker] "slave";
       513 UPDATE_AND_CREATE_STATIC_TOPIC Release5 [Broker] "mqadmin";
       901 GET_BROKER_MEMBER_GROUP Replication [NameServer] "broker, slave";
       902 ADD_BROKER Release5 [Container] "mqadmin";
       903 REMOVE_BROKER Release5 [Container] "mqadmin";
       904 BROKER_HEARTBEAT Replication [NameServer, Controller] "broker, slave";
       905 NOTIFY_MIN_BROKER_ID_CHANGE Replication [Broker] "name server";
       906 EXCHANGE_BROKER_HA_INFO Replication [Broker] "slave, broker";
       907 GET_BROKER_HA_STATUS Replication [Broker] "mqadmin";
       908 RESET_MASTER_FLUSH_OFFSET Replication [Broker] "mqadmin";
      1001 CONTROLLER_ALTER_SYNC_STATE_SET Replication [Controller] "broker";
      1002 CONTROLLER_ELECT_MASTER Replication [Controller] "broker, mqadmin";
      1003 CONTROLLER_REGISTER_BROKER Replication [Controller] "broker";
      1004 CONTROLLER_GET_REPLICA_INFO Replication [Controller] "broker";
      1005 CONTROLLER_GET_METADATA_INFO Replication [Controller] "broker, mqadmin";
      1006 CONTROLLER_GET_SYNC_STATE_DATA Replication [Controller] "mqadmin";
      1007 GET_BROKER_EPOCH_CACHE Replication [Broker] "mqadmin";
      1008 NOTIFY_BROKER_ROLE_CHANGED Replication [Broker] "controller";
      1009 UPDATE_CONTROLLER_CONFIG Replication [Controller] "mqadmin";
      1010 GET_CONTROLLER_CONFIG Replication [Controller] "mqadmin";
      1011 CLEAN_BROKER_DATA Replication [Controller] "mqadmin";
      1012 CONTROLLER_GET_NEXT_BROKER_ID Replication [Controller] "broker";
      1013 CONTROLLER_APPLY_BROKER_ID Replication [Controller] "broker";
      1014 BROKER_CLOSE_CHANNEL_REQUEST Replication [Controller] "controller";
      1015 CHECK_NOT_ACTIVE_BROKER_REQUEST Replication [Controller] "controller";
      1016 GET_BROKER_LIVE_INFO_REQUEST Replication [Controller] "controller";
      1017 GET_SYNC_STATE_DATA_REQUEST Replication [] "nobody";
      1018 RAFT_BROKER_HEART_BEAT_EVENT_REQUEST Replication [Controller] "controller";
      2001 UPDATE_COLD_DATA_FLOW_CTR_CONFIG Release5 [Broker] "mqadmin";
      2002 REMOVE_COLD_DATA_FLOW_CTR_CONFIG Release5 [Broker] "mqadmin";
      2003 GET_COLD_DATA_FLOW_CTR_INFO Release5 [Broker] "mqadmin";
      2004 SET_COMMITLOG_READ_MODE Release5 [Broker] "mqadmin";
      3001 AUTH_CREATE_USER Release5 [Broker] "mqadmin";
      3002 AUTH_UPDATE_USER Release5 [Broker] "mqadmin";
      3003 AUTH_DELETE_USER Release5 [Broker] "mqadmin";
      3004 AUTH_GET_USER Release5 [Broker] "mqadmin";
      3005 AUTH_LIST_USER Release5 [Broker] "mqadmin";
      3006 AUTH_CREATE_ACL Release5 [Broker] "mqadmin";
      3007 AUTH_UPDATE_ACL Release5 [Broker] "mqadmin";
      3008 AUTH_DELETE_ACL Release5 [Broker] "mqadmin";
      3009 AUTH_GET_ACL Release5 [Broker] "mqadmin";
      3010 AUTH_LIST_ACL Release5 [Broker] "mqadmin";
      5001 SWITCH_TIMER_ENGINE Release5 [Broker] "mqadmin";
    200050 POP_MESSAGE Release5 [Broker] "consumer, proxy";
    200051 ACK_MESSAGE Release5 [Broker] "consumer, proxy";
    200052 PEEK_MESSAGE Release5 [Broker] "mqadmin";
    200053 CHANGE_MESSAGE_INVISIBLETIME Release5 [Broker] "consumer, proxy";
    200054 NOTIFICATION Release5 [Broker] "consumer, proxy";
    200055 POLLING_INFO Release5 [Broker] "mqadmin, proxy";
    200056 POP_ROLLBACK Release5 [Broker] "mqadmin";
    200070 POP_LITE_MESSAGE Release5 [Broker] "proxy";
    200071 LITE_SUBSCRIPTION_CTL Release5 [Broker] "proxy";
    200072 ACK_LITE_MESSAGE Nothing [] "nobody";
    200073 NOTIFY_UNSUBSCRIBE_LITE Release5 [Client] "broker";
    200074 GET_BROKER_LITE_INFO Release5 [Broker] "mqadmin";
    200075 GET_PARENT_TOPIC_INFO Release5 [Broker] "mqadmin";
    200076 GET_LITE_TOPIC_INFO Release5 [Broker] "mqadmin";
    200077 GET_LITE_CLIENT_INFO Release5 [Broker] "mqadmin";
    200078 GET_LITE_GROUP_INFO Release5 [Broker] "mqadmin";
    200079 TRIGGER_LITE_DISPATCH Release5 [Broker] "mqadmin";
    200151 BATCH_ACK_MESSAGE Release5 [Broker] "consumer, proxy";
}

request_codes! {
    /// Requests of our own, by number. RocketMQ 5.5.0 uses no number from 5002 to 200049; ours begin at 190001.
    OWN:
    190001 GROUP_STATUS Tools [] "ferromq group";
    190002 GROUP_CHANGE Tools [] "ferromq group, broker";
    190003 COPY_TABLES Replication [] "slave";
}

response_codes! {
    -1006 RPC_TIME_OUT;
    -1004 RPC_SEND_TO_CHANNEL_FAILED;
    -1002 RPC_ADDR_IS_NULL;
    -1000 RPC_UNKNOWN;
        0 SUCCESS;
        1 SYSTEM_ERROR;
        2 SYSTEM_BUSY;
        3 REQUEST_CODE_NOT_SUPPORTED;
        4 TRANSACTION_FAILED;
       10 FLUSH_DISK_TIMEOUT;
       11 SLAVE_NOT_AVAILABLE;
       12 FLUSH_SLAVE_TIMEOUT;
       13 MESSAGE_ILLEGAL;
       14 SERVICE_NOT_AVAILABLE;
       15 VERSION_NOT_SUPPORTED;
       16 NO_PERMISSION;
       17 TOPIC_NOT_EXIST;
       18 TOPIC_EXIST_ALREADY;
       19 PULL_NOT_FOUND;
       20 PULL_RETRY_IMMEDIATELY;
       21 PULL_OFFSET_MOVED;
       22 QUERY_NOT_FOUND;
       23 SUBSCRIPTION_PARSE_FAILED;
       24 SUBSCRIPTION_NOT_EXIST;
       25 SUBSCRIPTION_NOT_LATEST;
       26 SUBSCRIPTION_GROUP_NOT_EXIST;
       27 FILTER_DATA_NOT_EXIST;
       28 FILTER_DATA_NOT_LATEST;
       29 INVALID_PARAMETER;
      200 TRANSACTION_SHOULD_COMMIT;
      201 TRANSACTION_SHOULD_ROLLBACK;
      202 TRANSACTION_STATE_UNKNOW;
      203 TRANSACTION_STATE_GROUP_WRONG;
      204 NO_BUYER_ID;
      205 NOT_IN_CURRENT_UNIT;
      206 CONSUMER_NOT_ONLINE;
      207 CONSUME_MSG_TIMEOUT;
      208 NO_MESSAGE;
      209 POLLING_FULL;
      210 POLLING_TIMEOUT;
      211 BROKER_NOT_EXIST;
      212 BROKER_DISPATCH_NOT_COMPLETE;
      213 BROADCAST_CONSUMPTION;
      215 FLOW_CONTROL;
      501 NOT_LEADER_FOR_QUEUE;
      604 ILLEGAL_OPERATION;
     1500 GO_AWAY;
     2000 CONTROLLER_FENCED_MASTER_EPOCH;
     2001 CONTROLLER_FENCED_SYNC_STATE_SET_EPOCH;
     2002 CONTROLLER_INVALID_MASTER;
     2003 CONTROLLER_INVALID_REPLICAS;
     2004 CONTROLLER_MASTER_NOT_AVAILABLE;
     2005 CONTROLLER_INVALID_REQUEST;
     2006 CONTROLLER_BROKER_NOT_ALIVE;
     2007 CONTROLLER_NOT_LEADER;
     2008 CONTROLLER_BROKER_METADATA_NOT_EXIST;
     2009 CONTROLLER_INVALID_CLEAN_BROKER_METADATA;
     2010 CONTROLLER_BROKER_NEED_TO_BE_REGISTERED;
     2011 CONTROLLER_MASTER_STILL_EXIST;
     2012 CONTROLLER_ELECT_MASTER_FAILED;
     2013 CONTROLLER_ALTER_SYNC_STATE_SET_FAILED;
     2014 CONTROLLER_BROKER_ID_INVALID;
     2015 CONTROLLER_JRAFT_INTERNAL_ERROR;
     2016 CONTROLLER_BROKER_LIVE_INFO_NOT_EXISTS;
     2017 LMQ_QUOTA_EXCEEDED;
     2018 LITE_SUBSCRIPTION_QUOTA_EXCEEDED;
     3001 USER_NOT_EXIST;
     3002 POLICY_NOT_EXIST;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sorted_so_that_names_are_found() {
        assert!(RequestCode::ALL.is_sorted_by(|a, b| a.code < b.code));
        assert!(RequestCode::OWN.is_sorted_by(|a, b| a.code < b.code));
        assert!(ResponseCode::NAMES.is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!(RequestCode(310).name(), Some("SEND_MESSAGE_V2"));
        assert_eq!(ResponseCode(-1006).name(), Some("RPC_TIME_OUT"));
        assert_eq!(RequestCode(9999).to_string(), "9999");
        assert_eq!(RequestCode::GROUP_STATUS.to_string(), "GROUP_STATUS (190001)");
    }

    #[test]
    fn our_own_requests_have_numbers_that_java_does_not_use() {
        let is_javas = |code: RequestCode| RequestCode::ALL.iter().any(|kind| kind.code == code);
        assert!(RequestCode::OWN.iter().all(|kind| !is_javas(kind.code)));
    }
}
