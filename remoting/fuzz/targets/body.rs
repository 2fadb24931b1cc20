//! Any bytes never panic the readers of bodies, and what they accept survives being written and read again.
#![no_main]

use std::fmt::Debug;

use libfuzzer_sys::fuzz_target;
use remoting::body::{
    CheckClientRequestBody, ConsumerOffsets, HeartbeatData, LockBatchRequestBody, QueueMap, RegisterBrokerBody,
    SubscriptionGroupConfig, TopicConfigWrapper, fastjson,
};
use remoting::version::Version;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

fn survives<T: Serialize + DeserializeOwned + PartialEq + Debug>(body: &[u8]) {
    let Ok(read) = fastjson::read::<T>(body) else { return };
    let plain = fastjson::write(&read);
    let again = fastjson::read::<T>(plain.as_bytes());
    assert_eq!(again.unwrap_or_else(|err| panic!("{err}: {plain}")), read, "{plain}");
    let standard = fastjson::write_standard(&read);
    assert!(standard.is_ascii(), "{standard}");
}

fuzz_target!(|body: &[u8]| {
    // Values may hold fractions, which JSON keeps only nearly, and any key: reading them must not panic, no more.
    let _ = fastjson::read::<Value>(body);
    let _ = fastjson::read::<TopicConfigWrapper>(body);
    let _ = fastjson::read::<ConsumerOffsets>(body);
    let _ = RegisterBrokerBody::read(body, true, Version::CURRENT);

    survives::<HeartbeatData>(body);
    survives::<LockBatchRequestBody>(body);
    survives::<CheckClientRequestBody>(body);
    survives::<SubscriptionGroupConfig>(body);
    survives::<QueueMap<i64>>(body);
});
