//! The binary header (`ROCKETMQ` serialization).
//!
//! ```text
//! [code: i16][language: u8][version: i16][opaque: i32][flag: i32][remark length: i32][remark]
//! [ext length: i32][[key length: i16][key][value length: i32][value]]…
//! ```
//! Codes are 16 bits here, so 2000xx codes cannot travel in this form. Java: `RocketMQSerializable`.

use bytes::Bytes;
use nom::bytes::complete::take;
use nom::number::complete::{be_i16, be_i32, be_u8};
use nom::{IResult, Parser};

use super::{ExtFields, FrameError, RemotingCommand};
use crate::language::LanguageCode;
use crate::types::Opaque;
use crate::version::Version;

pub(super) fn read(header: &[u8]) -> Result<RemotingCommand, FrameError> {
    match command(header) {
        // Java ignores what a longer header adds, so newer peers can add to it.
        Ok((_, command)) => Ok(command),
        Err(nom::Err::Error(at) | nom::Err::Failure(at)) => {
            Err(FrameError::Binary { at: header.len() - at.input.len() })
        }
        Err(nom::Err::Incomplete(_)) => Err(FrameError::Binary { at: header.len() }),
    }
}

fn command(input: &[u8]) -> IResult<&[u8], RemotingCommand> {
    let (input, (code, language, version, opaque, flag)) = (be_i16, be_u8, be_i16, be_i32, be_i32).parse(input)?;
    let (input, remark) = long_text(input)?;
    let (input, ext_length) = length(input)?;
    let (input, ext_bytes) = take(ext_length)(input)?;
    let (_, ext) = ext_fields(ext_bytes)?;
    let command = RemotingCommand {
        code: i32::from(code),
        language: LanguageCode::from_number(language).unwrap_or(LanguageCode::OTHER),
        version: Version(i32::from(version)),
        opaque: Opaque(opaque),
        flag,
        // A text of no bytes is null in Java's reader.
        remark: (!remark.is_empty()).then(|| remark.to_owned()),
        ext,
        body: Bytes::new(),
    };
    Ok((input, command))
}

fn ext_fields(mut input: &[u8]) -> IResult<&[u8], ExtFields> {
    let mut ext = ExtFields::with_capacity(input.len(), 0);
    while !input.is_empty() {
        let (rest, key) = short_text(input)?;
        let (rest, value) = long_text(rest)?;
        if !value.is_empty() {
            ext.push(key, value);
        }
        input = rest;
    }
    Ok((input, ext))
}

fn short_text(input: &[u8]) -> IResult<&[u8], &str> {
    let (rest, length) = be_i16(input)?;
    text(rest, i32::from(length))
}

fn long_text(input: &[u8]) -> IResult<&[u8], &str> {
    let (rest, length) = be_i32(input)?;
    text(rest, length)
}

fn text(input: &[u8], length: i32) -> IResult<&[u8], &str> {
    let length = usize::try_from(length).map_err(|_| broken(input))?;
    let (rest, bytes) = take(length)(input)?;
    let text = std::str::from_utf8(bytes).map_err(|_| broken(input))?;
    Ok((rest, text))
}

fn length(input: &[u8]) -> IResult<&[u8], usize> {
    let (rest, length) = be_i32(input)?;
    Ok((rest, usize::try_from(length).map_err(|_| broken(input))?))
}

fn broken(input: &[u8]) -> nom::Err<nom::error::Error<&[u8]>> {
    nom::Err::Error(nom::error::Error::new(input, nom::error::ErrorKind::Verify))
}
