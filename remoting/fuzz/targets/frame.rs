//! Any bytes, in any pieces, never panic the frame decoder, and what it accepts survives being written and read again.
#![no_main]

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use remoting::frame::{FrameCodec, FrameError, RemotingCommand, Serialization};
use tokio_util::codec::{Decoder, Encoder};

/// All frames of a stream that arrives in pieces of `piece` bytes, and why it ended early if it did.
fn decode(stream: &[u8], piece: usize) -> (Vec<RemotingCommand>, Option<FrameError>) {
    let (mut codec, mut buffer, mut commands) = (FrameCodec::default(), BytesMut::new(), Vec::new());
    for piece in stream.chunks(piece) {
        buffer.extend_from_slice(piece);
        loop {
            match codec.decode(&mut buffer) {
                Ok(Some(command)) => commands.push(command),
                Ok(None) => break,
                Err(error) => return (commands, Some(error)),
            }
        }
    }
    (commands, None)
}

fn write_and_read(command: &RemotingCommand, serialization: Serialization) -> RemotingCommand {
    let mut codec = FrameCodec::writing(serialization);
    let mut buffer = BytesMut::new();
    codec.encode(command, &mut buffer).expect("a decoded command encodes");
    let read = codec.decode(&mut buffer).expect("our own frame is valid").expect("our own frame is whole");
    assert!(buffer.is_empty(), "{} bytes are left behind our own frame", buffer.len());
    read
}

/// The binary form has 16 bits for code, version and key lengths, and no way to tell an empty text from none.
fn fits_binary(command: &RemotingCommand) -> bool {
    i16::try_from(command.code).is_ok()
        && i16::try_from(command.version.0).is_ok()
        && command.remark.as_deref() != Some("")
        && command.ext.iter().all(|(key, value)| !key.is_empty() && key.len() <= i16::MAX as usize && !value.is_empty())
}

fuzz_target!(|stream: &[u8]| {
    // The last byte also says how the stream is cut, so that a recorded frame is a seed as it is.
    let Some(&last) = stream.last() else { return };
    let (commands, error) = decode(stream, stream.len());
    let (in_pieces, error_in_pieces) = decode(stream, usize::from(last).max(1));
    assert_eq!(in_pieces, commands);
    assert_eq!(error_in_pieces.map(|error| error.to_string()), error.map(|error| error.to_string()));

    for command in commands {
        assert_eq!(write_and_read(&command, Serialization::Json), command);
        if fits_binary(&command) {
            assert_eq!(write_and_read(&command, Serialization::Binary), command);
        }
        // What the router does next with every request: look fields up by name.
        for (key, _) in command.ext.iter() {
            assert!(command.ext.get(key).is_some());
        }
        let _: Bytes = command.body;
    }
});
