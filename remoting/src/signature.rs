//! Signed requests: who sends one proves that it knows a secret key.
//!
//! The fields of the header, sorted by name and without `Signature`, are written one behind the other, their values only; the body
//! follows. `Signature` is the HMAC-SHA1 of that, in Base64. Java: `AclUtils.combineRequestContent`, `AclSigner`.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, Mac};
use sha1::Sha1;

use crate::header::{EncodeHeader, FieldSink};

/// Name of the field that is not part of what is signed.
const SIGNATURE: &str = "Signature";

/// A user and what proves it.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub access_key: String,
    pub secret_key: String,
}

impl std::fmt::Debug for Credentials {
    /// Without the secret key: logs are read by many.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

impl Credentials {
    /// Reads `accessKey: …` and `secretKey: …`, each on a line, as RocketMQ's `conf/tools.yml` has them.
    ///
    /// # Errors
    /// A sentence for the user.
    pub fn parse(text: &str) -> Result<Self, String> {
        let value = |key: &str| {
            let line = text.lines().find_map(|line| line.trim().strip_prefix(key)?.trim_start().strip_prefix(':'));
            let value = line.map(|value| value.trim().trim_matches(['"', '\'']).to_owned());
            value.filter(|value| !value.is_empty()).ok_or_else(|| format!("it has no line \"{key}: …\""))
        };
        Ok(Self { access_key: value("accessKey")?, secret_key: value("secretKey")? })
    }

    /// What a request with this header and body is to have as its `Signature`.
    pub fn sign(&self, header: &dyn EncodeHeader, body: &[u8]) -> String {
        BASE64_STANDARD.encode(self.digest(header, body).finalize().into_bytes())
    }

    /// Takes the same time for any wrong signature.
    pub fn is_signed(&self, header: &dyn EncodeHeader, body: &[u8], signature: &str) -> bool {
        let decoded = BASE64_STANDARD.decode(signature);
        decoded.is_ok_and(|decoded| self.digest(header, body).verify_slice(&decoded).is_ok())
    }

    fn digest(&self, header: &dyn EncodeHeader, body: &[u8]) -> Hmac<Sha1> {
        let mut fields = Fields::default();
        header.encode(&mut fields);
        let mut digest = Hmac::<Sha1>::new_from_slice(self.secret_key.as_bytes()).expect("a key may have any length");
        fields.0.values().for_each(|value| digest.update(value.as_bytes()));
        digest.update(body);
        digest
    }
}

/// By name, in the order of bytes.
#[derive(Default)]
struct Fields(BTreeMap<String, String>);

impl FieldSink for Fields {
    fn put(&mut self, key: &str, value: &str) {
        if key != SIGNATURE {
            self.0.insert(key.to_owned(), value.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Header(&'static [(&'static str, &'static str)]);

    impl EncodeHeader for Header {
        fn encode(&self, sink: &mut dyn FieldSink) {
            self.0.iter().for_each(|(key, value)| sink.put(key, value));
        }
    }

    #[test]
    fn a_signature_is_that_of_java() {
        let user = Credentials { access_key: "RocketMQ".into(), secret_key: "12345678".into() };
        let header = Header(&[("topic", "T"), ("AccessKey", "RocketMQ"), ("Signature", "old"), ("queueId", "3")]);
        // $ printf 'RocketMQ3Tbody' | openssl dgst -sha1 -hmac 12345678 -binary | base64
        let signature = "0/8gKdPXgFCrjw2kSOTNCvQg8js=";
        assert_eq!(user.sign(&header, b"body"), signature);
        assert!(user.is_signed(&header, b"body", signature));
        assert!(!user.is_signed(&header, b"body2", signature));
        assert!(!user.is_signed(&header, b"body", "no base64"));
        assert!(!Credentials { secret_key: "87654321".into(), ..user }.is_signed(&header, b"body", signature));
    }

    #[test]
    fn credentials_are_read_as_java_tools_have_them() {
        let read = Credentials::parse("# tools\naccessKey: rocketmq2\nsecretKey : \"12345678\"\n").unwrap();
        assert_eq!(read, Credentials { access_key: "rocketmq2".into(), secret_key: "12345678".into() });
        assert_eq!(Credentials::parse("accessKey: a\nsecretKey:\n").unwrap_err(), "it has no line \"secretKey: …\"");
        assert!(!format!("{read:?}").contains("12345678"));
    }
}
