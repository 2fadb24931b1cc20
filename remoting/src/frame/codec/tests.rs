use bytes::{BufMut, BytesMut};
use proptest::prelude::*;
use tokio_util::codec::{Decoder, Encoder};

use super::*;
use crate::frame::ExtFields;
use crate::language::LanguageCode;
use crate::types::Opaque;
use crate::version::Version;

fn frame(kind: u8, header: &[u8], body: &[u8]) -> BytesMut {
    let mut bytes = BytesMut::new();
    bytes.put_u32((4 + header.len() + body.len()) as u32);
    bytes.put_u32(u32::from(kind) << 24 | header.len() as u32);
    bytes.put_slice(header);
    bytes.put_slice(body);
    bytes
}

fn read(mut bytes: BytesMut) -> RemotingCommand {
    let command = FrameCodec::default().decode(&mut bytes).expect("a frame").expect("a whole frame");
    assert!(bytes.is_empty(), "one frame is one command");
    command
}

fn written(command: &RemotingCommand, serialization: Serialization) -> BytesMut {
    let mut bytes = BytesMut::new();
    FrameCodec::writing(serialization).encode(command, &mut bytes).expect("encoding to memory");
    bytes
}

fn route_request() -> RemotingCommand {
    RemotingCommand {
        code: 105,
        language: LanguageCode::JAVA,
        version: Version(479),
        opaque: Opaque(0),
        flag: 0,
        remark: None,
        ext: ExtFields::from_iter([("topic", "T")]),
        body: Bytes::new(),
    }
}

/// The text that Java 5.3.3 writes for a route request.
const JAVA_ROUTE_REQUEST: &[u8] =
    br#"{"code":105,"extFields":{"topic":"T"},"flag":0,"language":"JAVA","opaque":0,"serializeTypeCurrentRPC":"JSON","version":479}"#;

#[test]
fn java_json_header_is_read() {
    assert_eq!(read(frame(0, JAVA_ROUTE_REQUEST, b"")), route_request());
}

#[test]
fn json_header_is_written_as_java_writes_it() {
    assert_eq!(written(&route_request(), Serialization::Json), frame(0, JAVA_ROUTE_REQUEST, b""));
}

#[test]
fn lenient_json_header_is_read() {
    let check = |header: &str, expect: &dyn Fn(&RemotingCommand) -> bool| {
        let command = read(frame(0, header.as_bytes(), b"body"));
        assert!(expect(&command), "{header} gave {command:?}");
        assert_eq!(command.body, "body");
    };
    check("{}", &|command| command.code == 0 && command.version == Version(0) && command.ext.is_empty());
    check(r#"{"language":9}"#, &|command| command.language == LanguageCode::GO);
    check(r#"{"language":"KLINGON","opaque":7}"#, &|command| command.language == LanguageCode::OTHER);
    check(r#" { "opaque" : -3 , "unknown" : [1,{"a":null}], "code":10 } "#, &|command| command.opaque == Opaque(-3));
    check(r#"{"extFields":null,"remark":null}"#, &|command| command.ext.is_empty() && command.remark.is_none());
    check(r#"{"extFields":{"a":1,"b":true,"c":null,"d":-5,"e":[1],"f":{}}}"#, &|command| {
        command.ext == ExtFields::from_iter([("a", "1"), ("b", "true"), ("d", "-5")])
    });
    check(r#"{"extFields":{"a":"1","a":"2"}}"#, &|command| command.ext.get("a") == Some("2"));
    check(r#"{"extFields":{"i":"KEYS\u0001k\u0002"}}"#, &|command| command.ext.get("i") == Some("KEYS\u{1}k\u{2}"));
}

#[test]
fn binary_header_survives() {
    let command = RemotingCommand {
        code: 310,
        remark: Some("why".to_owned()),
        ext: ExtFields::from_iter([("a", "group"), ("i", "KEYS\u{1}k\u{2}")]),
        body: Bytes::from_static(b"hello"),
        ..route_request()
    };
    assert_eq!(read(written(&command, Serialization::Binary)), command);
}

#[test]
fn empty_binary_header_is_21_bytes() {
    let bytes = written(&RemotingCommand { ext: ExtFields::default(), ..route_request() }, Serialization::Binary);
    assert_eq!(bytes.len(), 8 + 21);
}

#[test]
fn binary_code_above_16_bits_is_cut_as_java_cuts_it() {
    let command = RemotingCommand { code: 200_050, ..route_request() };
    assert_eq!(read(written(&command, Serialization::Binary)).code, 3442);
}

#[test]
fn broken_frames_are_errors() {
    let check = |mut bytes: BytesMut, expect: &str| {
        let err = FrameCodec::default().decode(&mut bytes).expect_err("a broken frame").to_string();
        assert!(err.contains(expect), "{err} instead of {expect}");
    };
    let lying = |length: u32, word: u32| {
        let mut bytes = BytesMut::new();
        bytes.put_u32(length);
        bytes.put_u32(word);
        bytes.put_slice(&[0; 64]);
        bytes
    };
    check(lying(16 * 1024 * 1024, 0), "larger than the limit");
    check(lying(u32::MAX, 0), "larger than the limit");
    check(lying(0, 0), "no room");
    check(lying(3, 0), "no room");
    check(lying(8, 5), "header length 5");
    check(lying(8, 0xFF_FFFF), "header length");
    check(frame(2, b"{}", b""), "serialization type 2");
    check(frame(0, b"{\"code\":", b""), "JSON header");
    check(frame(0, b"{} {}", b""), "JSON header");
    check(frame(0, b"[]", b""), "JSON header");
    check(frame(0, b"", b""), "JSON header");
    check(frame(0, &[b'{', b'"', 0xFF, b'"', b':', b'1', b'}'], b""), "JSON header");
    check(frame(1, &[0; 20], b""), "binary header");
}

#[test]
fn a_frame_of_the_largest_size_is_read() {
    let body = vec![7; FRAME_BYTES_MAX - 8 - 2];
    assert_eq!(read(frame(0, b"{}", &body)).body.len(), body.len());
}

prop_compose! {
    fn any_command()(
        code in any::<i16>(),
        language in 0..14_u8,
        version in any::<i16>(),
        opaque in any::<i32>(),
        flag in any::<i32>(),
        remark in proptest::option::of(".{1,40}"),
        ext in proptest::collection::vec((".{0,20}", ".{1,40}"), 0..20),
        body in proptest::collection::vec(any::<u8>(), 0..200),
    ) -> RemotingCommand {
        RemotingCommand {
            code: i32::from(code),
            language: LanguageCode::from_number(language).expect("a known number"),
            version: Version(i32::from(version)),
            opaque: Opaque(opaque),
            flag,
            remark,
            ext: ext.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect(),
            body: body.into(),
        }
    }
}

proptest! {
    #[test]
    fn commands_survive_both_forms(command in any_command()) {
        prop_assert_eq!(&read(written(&command, Serialization::Json)), &command);
        prop_assert_eq!(&read(written(&command, Serialization::Binary)), &command);
    }

    #[test]
    fn a_part_of_a_frame_is_no_frame_yet(command in any_command(), binary: bool, cut in 0.0..1.0_f64) {
        let serialization = if binary { Serialization::Binary } else { Serialization::Json };
        let mut bytes = written(&command, serialization);
        bytes.truncate((bytes.len() as f64 * cut) as usize);
        prop_assert!(FrameCodec::default().decode(&mut bytes).expect("a prefix is no error").is_none());
    }

    #[test]
    fn a_cut_header_is_an_error(command in any_command(), cut in 0.0..1.0_f64) {
        let whole = written(&RemotingCommand { body: Bytes::new(), ..command }, Serialization::Binary);
        let header = &whole[8..];
        let cut = (header.len() as f64 * cut) as usize;
        prop_assert!(FrameCodec::default().decode(&mut frame(1, &header[..cut], b"")).is_err());
    }

    #[test]
    fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut buffer = BytesMut::from(&bytes[..]);
        while let Ok(Some(_)) = FrameCodec::default().decode(&mut buffer) {}
        let _ = FrameCodec::default().decode(&mut frame(1, &bytes, b""));
        let _ = FrameCodec::default().decode(&mut frame(0, &bytes, b""));
    }
}
