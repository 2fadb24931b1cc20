//! Java's enums in bodies.

use serde::{Deserialize, Deserializer};

/// Declares a Java enum in Java's order: written by name; read by name, or by number as C++ clients send it. What we do
/// not know is read as the default, as a Java that does not know it goes on without it.
macro_rules! java_enum {
    ($(#[$doc:meta])* pub enum $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            const BY_NUMBER: &'static [Self] = &[$(Self::$variant,)*];

            /// Java's name.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
                $crate::body::java_enum::read(json, Self::BY_NUMBER, Self::name)
            }
        }
    };
}

pub(super) use java_enum;

#[derive(Deserialize)]
#[serde(untagged)]
enum Sent {
    Number(i64),
    Name(String),
}

pub(super) fn read<'de, D: Deserializer<'de>, E: Copy + Default>(
    json: D,
    by_number: &[E],
    name: fn(E) -> &'static str,
) -> Result<E, D::Error> {
    let known = match Sent::deserialize(json)? {
        Sent::Number(number) => usize::try_from(number).ok().and_then(|number| by_number.get(number)),
        Sent::Name(sent) => by_number.iter().find(|known| name(**known) == sent),
    };
    Ok(known.copied().unwrap_or_default())
}
