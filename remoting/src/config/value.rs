//! How one value is spelled in properties text.

use std::fmt;
use std::ops::Deref;
use std::path::PathBuf;
use std::time::Duration;

use crate::types::{BrokerId, BrokerName, ClusterName, GroupName, Timestamp, TopicName};

/// A value of a setting.
pub trait Value: Sized {
    /// What its text has to be, to continue "which is not …".
    const EXPECTED: &'static str;

    /// `text` is trimmed.
    fn parse(text: &str) -> Option<Self>;

    /// `None` for a setting that has no value, which Java does not print either.
    fn print(&self) -> Option<String>;
}

macro_rules! durations {
    ($($(#[$doc:meta])* $name:ident = $millis:literal, $expected:literal;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
            pub struct $name(Duration);

            impl $name {
                pub const fn new(count: u64) -> Self {
                    Self(Duration::from_millis(count * $millis))
                }
            }

            impl Deref for $name {
                type Target = Duration;

                fn deref(&self) -> &Duration {
                    &self.0
                }
            }

            impl From<$name> for Duration {
                fn from(wrapped: $name) -> Self {
                    wrapped.0
                }
            }

            impl fmt::Debug for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    fmt::Debug::fmt(&self.0, f)
                }
            }

            impl Value for $name {
                const EXPECTED: &'static str = $expected;

                fn parse(text: &str) -> Option<Self> {
                    let count: u64 = text.parse().ok()?;
                    count.checked_mul($millis).filter(|millis| i64::try_from(*millis).is_ok())?;
                    Some(Self::new(count))
                }

                fn print(&self) -> Option<String> {
                    Some((self.0.as_millis() / $millis).to_string())
                }
            }
        )*
    };
}

durations! {
    /// A duration whose setting counts milliseconds.
    Millis = 1, "a number of milliseconds, 0 or more";
    /// A duration whose setting counts seconds.
    Seconds = 1000, "a number of seconds, 0 or more";
    /// A duration whose setting counts minutes.
    Minutes = 60_000, "a number of minutes, 0 or more";
    /// A duration whose setting counts hours.
    Hours = 3_600_000, "a number of hours, 0 or more";
}

macro_rules! number_values {
    ($($kind:ty, $expected:literal;)*) => {
        $(impl Value for $kind {
            const EXPECTED: &'static str = $expected;

            fn parse(text: &str) -> Option<Self> {
                text.parse().ok()
            }

            fn print(&self) -> Option<String> {
                Some(self.to_string())
            }
        })*
    };
}

number_values! {
    i32, "a whole number of 32 bits";
    i64, "a whole number of 64 bits";
    u16, "a number from 0 to 65535";
    u32, "a whole number of 32 bits, 0 or more";
    u64, "a whole number, 0 or more";
    usize, "a whole number, 0 or more";
    f64, "a number";
    BrokerId, "a whole number";
}

impl Value for Timestamp {
    const EXPECTED: &'static str = "a whole number of milliseconds since 1970";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }

    fn print(&self) -> Option<String> {
        Some(self.to_string())
    }
}

macro_rules! text_values {
    ($($kind:ty),*) => {
        $(impl Value for $kind {
            const EXPECTED: &'static str = "a text";

            fn parse(text: &str) -> Option<Self> {
                Some(text.into())
            }

            fn print(&self) -> Option<String> {
                Some(self.to_string())
            }
        })*
    };
}

text_values!(String, TopicName, GroupName, BrokerName, ClusterName);

impl Value for PathBuf {
    const EXPECTED: &'static str = "a path";

    fn parse(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| text.into())
    }

    fn print(&self) -> Option<String> {
        Some(self.display().to_string())
    }
}

impl Value for bool {
    const EXPECTED: &'static str = "true or false";

    fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    fn print(&self) -> Option<String> {
        Some(self.to_string())
    }
}

/// An empty text is no value.
impl<T: Value> Value for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn parse(text: &str) -> Option<Self> {
        if text.is_empty() { Some(None) } else { T::parse(text).map(Some) }
    }

    fn print(&self) -> Option<String> {
        self.as_ref().and_then(T::print)
    }
}

/// Declares the values of a setting that is one of a few words; they are read as they stand, as Java's enums are.
#[macro_export]
macro_rules! choice {
    (
        $(#[$doc:meta])*
        $vis:vis enum $name:ident { $( $(#[$variant_doc:meta])* $variant:ident = $word:literal $( | $alias:literal )* ),+ $(,)? }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $vis enum $name { $( $(#[$variant_doc])* $variant, )+ }

        impl $name {
            $vis fn word(self) -> &'static str {
                match self { $( Self::$variant => $word, )+ }
            }
        }

        impl $crate::config::Value for $name {
            const EXPECTED: &'static str = concat!("one of", $( " ", $word, )+);

            fn parse(text: &str) -> Option<Self> {
                match text { $( $word $( | $alias )* => Some(Self::$variant), )+ _ => None }
            }

            fn print(&self) -> Option<String> {
                Some(self.word().to_owned())
            }
        }
    };
}
