//! `config!`: the settings of a process, one line each.

/// Declares a struct of settings: field, type, default and property name; reading, printing and `docs/config.md` follow
/// from it.
///
/// After the property name may stand `important` (printed by `-m`), `restart` (a change takes effect at the next start)
/// and `machine` (the default shown is replaced by a fact of the machine). Whoever declares a struct also writes its `Config` impl: the rules that no single line can say.
///
/// ```
/// use remoting::config::{Config, Millis, Settings};
///
/// remoting::config! {
///     /// Settings of an example.
///     pub struct Example {
///         /// How long to wait.
///         patience: Millis = Millis::new(500), "patience";
///         /// What to listen on.
///         port: u16 = 9876, "listenPort", important, restart;
///     }
/// }
///
/// impl Config for Example {}
///
/// assert_eq!(Example::default().print_all(), "listenPort=9876\npatience=500\n");
/// ```
#[macro_export]
macro_rules! config {
    (
        $(#[$doc:meta])*
        $vis:vis struct $name:ident {
            $( $(#[doc = $field_doc:literal])+ $field:ident : $kind:ty = $default:expr, $key:literal $(, $flag:ident)* ; )+
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        $vis struct $name { $( $(#[doc = $field_doc])+ $vis $field: $kind, )+ }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $field: $default, )+ }
            }
        }

        impl $crate::config::Settings for $name {
            const SETTINGS: &'static [$crate::config::Setting<Self>] = &[$(
                $crate::config::Setting {
                    key: $key,
                    doc: &[$($field_doc),+],
                    flags: &[$(stringify!($flag)),*],
                    expected: <$kind as $crate::config::Value>::EXPECTED,
                    set: |config, text| {
                        $crate::config::Value::parse(text).map(|value| config.$field = value)
                    },
                    get: |config| $crate::config::Value::print(&config.$field),
                },
            )+];
        }
    };
}
