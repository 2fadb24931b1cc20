//! `header!` and `request!`: a header or request is declared once, everything else follows from it.

/// Declares a header: the struct, its reading and its writing.
///
/// `name: Type = "wireName"`; a second spelling (`= "wireName" | "a"`) is read as well.
/// A plain type is required, an `Option` is not.
#[macro_export]
macro_rules! header {
    (
        $(#[$doc:meta])*
        $vis:vis struct $name:ident {
            $( $(#[$field_doc:meta])* $field:ident : $kind:ty = $key:literal $(| $short:literal)? ),* $(,)?
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        $vis struct $name {
            $( $(#[$field_doc])* $vis $field: $kind, )*
        }

        #[allow(unused_variables, reason = "a header may have no fields")]
        impl $crate::header::DecodeHeader for $name {
            fn decode(ext: &$crate::frame::ExtFields) -> Result<Self, $crate::header::HeaderError> {
                $( let mut $field = None; )*
                for (key, value) in ext.iter() {
                    match key {
                        $( $key $(| $short)? => $field = Some(value), )*
                        _ => {}
                    }
                }
                Ok(Self { $( $field: <$kind as $crate::header::HeaderField>::from_ext($key, $field)?, )* })
            }
        }

        #[allow(unused_variables, reason = "a header may have no fields")]
        impl $crate::header::EncodeHeader for $name {
            fn encode(&self, sink: &mut dyn $crate::header::FieldSink) {
                $( $crate::header::HeaderField::put(&self.$field, $key, sink); )*
            }
        }
    };
}

/// Declares a request: its number, its header as in [`header!`], and the header of its answer.
#[macro_export]
macro_rules! request {
    (
        $(#[$doc:meta])*
        $code:ident => $reply:ty,
        $vis:vis struct $name:ident { $($fields:tt)* }
    ) => {
        $crate::header! {
            $(#[$doc])*
            $vis struct $name { $($fields)* }
        }

        impl $crate::header::Request for $name {
            const CODE: $crate::protocol::RequestCode = $crate::protocol::RequestCode::$code;
            type Reply = $reply;
        }
    };
}
