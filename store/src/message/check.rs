//! What is checked of a record beyond its fields.

use thiserror::Error;

use super::{DecodeError, StoredMessage, check_record_crc};

/// Why bytes that may look like a record are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadRecord {
    #[error(transparent)]
    Fields(#[from] DecodeError),
    #[error("the checksum over the record is wrong")]
    Checksum,
    #[error("the record has no checksum over all of it, which forceVerifyPropCRC asks for")]
    NoChecksum,
    #[error("the end of the record was never written")]
    Torn,
}

/// Which checksum of a record is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    Nothing,
    /// The body's CRC.
    Body,
    /// The checksum over all of it, which it must have.
    Record,
}

impl Check {
    /// `record`: the bytes of `message`.
    pub(crate) fn pass(self, message: &StoredMessage<'_>, record: &[u8]) -> Result<(), BadRecord> {
        match self {
            Self::Nothing => Ok(()),
            Self::Body => Ok(message.check_crc()?),
            Self::Record => match check_record_crc(record) {
                Some(true) => Ok(()),
                Some(false) => Err(BadRecord::Checksum),
                None => Err(BadRecord::NoChecksum),
            },
        }
    }
}
