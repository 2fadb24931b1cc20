use std::collections::BTreeMap;

use proptest::collection::btree_map;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::body::MessageQueue;

#[test]
fn bare_numbers_and_objects_are_keys() {
    let numbers = BTreeMap::from([(0_i64, "1.1.1.1:10911"), (1, "1.1.1.2:10911")]);
    assert_eq!(write(&numbers), r#"{0:"1.1.1.1:10911",1:"1.1.1.2:10911"}"#);
    assert_eq!(write_standard(&BTreeMap::from([(0_i64, "a/ä")])), r#"{"0":"a\/\u00E4"}"#);
    let queue = MessageQueue { broker_name: "b\"\\".into(), queue_id: 0.into(), topic: "T".into() };
    let queues = BTreeMap::from([(ObjectKey(queue), 5)]);
    assert_eq!(write(&queues), r#"{{"brokerName":"b\"\\","queueId":0,"topic":"T"}:5}"#);
    assert_eq!(read::<BTreeMap<ObjectKey<MessageQueue>, i32>>(write(&queues).as_bytes()).expect("a map"), queues);
    let texts = BTreeMap::from([("", 1), ("\"", 2), ("a\"b", 3)]);
    assert_eq!(write(&texts), r#"{"":1,"\"":2,"a\"b":3}"#);
}

#[test]
fn a_text_is_never_taken_for_an_object() {
    let texts = BTreeMap::from([("{".to_owned(), 1), (r#"{"topic":"T"}"#.to_owned(), 2)]);
    assert_eq!(write(&texts), r#"{"{":1,"{\"topic\":\"T\"}":2}"#);
}

#[test]
fn object_keys_are_texts_in_standard_json() {
    let queues = BTreeMap::from([(ObjectKey(MessageQueue::default()), 5)]);
    let text = write_standard(&queues);
    assert_eq!(text, r#"{"{\"brokerName\":\"\",\"queueId\":0,\"topic\":\"\"}":5}"#);
    assert_eq!(read::<BTreeMap<ObjectKey<MessageQueue>, i32>>(text.as_bytes()).expect("a map"), queues);
}

#[test]
fn fractions_are_written_as_java_writes_them() {
    let check = |value: f64, text: &str| assert_eq!(write(&value), text);
    check(0.0, "0.0");
    check(-0.0, "-0.0");
    check(100.0, "100.0");
    check(0.1 + 0.2, "0.30000000000000004");
    check(0.001, "0.001");
    check(0.00099, "9.9E-4");
    check(9_999_999.5, "9999999.5");
    check(1e7, "1.0E7");
    check(-12_345_678.0, "-1.2345678E7");
    check(f64::NAN, "null");
}

#[test]
fn the_lenient_reader_takes_what_java_takes() {
    let check = |text: &str, json: Value| assert_eq!(read::<Value>(text.as_bytes()).expect(text), json, "{text}");
    check("{0:1,1:[true,null,],}", serde_json::json!({"0": 1, "1": [true, null]}));
    check(r#"{'a':'it\'s','b':'\'','c':'q\"'}"#, serde_json::json!({"a": "it's", "b": "'", "c": "q\""}));
    check("{name : 'x' , $ref:'$.a' }", serde_json::json!({"name": "x", "$ref": "$.a"}));
    check(r#"{{"q":0}:7}"#, serde_json::json!({"{\"q\":0}": 7}));
    check("{'a':'\u{1}'}", serde_json::json!({"a": "\u{1}"}));
    check("{a:null,b:1,c:null,d:'null'}", serde_json::json!({"b": 1, "d": "null"}));
    check("{a:null,}", serde_json::json!({}));
}

#[test]
fn what_is_not_json_is_an_error() {
    for text in [
        "",
        "{",
        "{a}",
        "{a:}",
        "[1",
        "{'a",
        "{a:1}}",
        "{:1}",
        &"[".repeat(100_000),
        &"{{".repeat(1000),
        "{{{a:1}:1}:1}",
    ] {
        assert!(read::<Value>(text.as_bytes()).is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn any_text_never_panics(text in "[\\[\\]{}:,'\"\\\\a0. \\PC]{0,60}") {
        let _ = read::<Value>(text.as_bytes());
    }

    #[test]
    fn maps_survive(map in btree_map(any::<i64>(), ".{0,8}", 0..8)) {
        prop_assert_eq!(read::<BTreeMap<i64, String>>(write(&map).as_bytes()).expect("a map"), map.clone());
        prop_assert_eq!(serde_json::from_str::<BTreeMap<i64, String>>(&write_standard(&map)).expect("a map"), map);
    }
}
