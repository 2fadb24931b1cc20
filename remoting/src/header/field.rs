//! One value as text.

use super::{FieldSink, HeaderError};
use crate::types::{
    BrokerId, BrokerName, ClientId, ClusterName, GroupName, MemberNumber, PhysicalOffset, QueueId, QueueOffset,
    Timestamp, TopicName,
};

/// A value that has one spelling on the wire.
pub trait Field: Sized {
    /// What the text should have been, for the error: `a number`.
    const EXPECTED: &'static str;

    fn parse(text: &str) -> Option<Self>;

    fn with_text(&self, write: impl FnOnce(&str));
}

/// A field of a header: required if plain, optional if `Option`. The type is Java's `@CFNotNull`.
pub trait HeaderField: Sized {
    /// # Errors
    /// [`HeaderError`] if the field is required and missing or of a wrong text.
    fn from_ext(key: &'static str, text: Option<&str>) -> Result<Self, HeaderError>;

    fn put(&self, key: &str, sink: &mut dyn FieldSink);
}

impl<T: Field> HeaderField for T {
    fn from_ext(key: &'static str, text: Option<&str>) -> Result<Self, HeaderError> {
        let text = text.ok_or(HeaderError::Missing { key })?;
        T::parse(text).ok_or_else(|| HeaderError::Wrong { key, text: text.to_owned(), expected: T::EXPECTED })
    }

    fn put(&self, key: &str, sink: &mut dyn FieldSink) {
        self.with_text(|text| sink.put(key, text));
    }
}

impl<T: Field> HeaderField for Option<T> {
    fn from_ext(_: &'static str, text: Option<&str>) -> Result<Self, HeaderError> {
        Ok(text.and_then(T::parse))
    }

    fn put(&self, key: &str, sink: &mut dyn FieldSink) {
        if let Some(value) = self {
            value.put(key, sink);
        }
    }
}

macro_rules! number_fields {
    ($($raw:ty),*) => {
        $(impl Field for $raw {
            const EXPECTED: &'static str = "a number in range";

            fn parse(text: &str) -> Option<Self> {
                text.parse().ok()
            }

            fn with_text(&self, write: impl FnOnce(&str)) {
                write(itoa::Buffer::new().format(*self));
            }
        })*
    };
}

macro_rules! wrapped_fields {
    ($($wrapper:ident($raw:ty)),*) => {
        $(impl Field for $wrapper {
            const EXPECTED: &'static str = <$raw as Field>::EXPECTED;

            fn parse(text: &str) -> Option<Self> {
                <$raw as Field>::parse(text).map(Self)
            }

            fn with_text(&self, write: impl FnOnce(&str)) {
                self.0.with_text(write);
            }
        })*
    };
}

macro_rules! text_fields {
    ($($name:ty),*) => {
        $(impl Field for $name {
            const EXPECTED: &'static str = "a text";

            fn parse(text: &str) -> Option<Self> {
                Some(text.into())
            }

            fn with_text(&self, write: impl FnOnce(&str)) {
                write(self);
            }
        })*
    };
}

number_fields!(i32, i64, u32, u64);
wrapped_fields!(QueueId(i32), QueueOffset(i64), PhysicalOffset(i64), BrokerId(i64), Timestamp(i64), MemberNumber(u64));
text_fields!(String, TopicName, GroupName, BrokerName, ClusterName, ClientId);

impl Field for bool {
    const EXPECTED: &'static str = "true or false";

    /// Java: `Boolean.parseBoolean`, where everything but `true` in any case is false.
    fn parse(text: &str) -> Option<Self> {
        Some(text.eq_ignore_ascii_case("true"))
    }

    fn with_text(&self, write: impl FnOnce(&str)) {
        write(if *self { "true" } else { "false" });
    }
}
