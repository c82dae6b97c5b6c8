//! Broker records: `CloudEvents` 1.0 in Kafka binary mode.
//!
//! The headers identify (who, where in the journal, which item, when), the value describes (the JSON
//! data). No fact stands in both, so they cannot contradict each other; key and source are derived
//! from the identity and must agree with it.

mod decode;
mod encode;

pub use decode::{
    MAX_HEADERS, MAX_VALUE_BYTES, Undecodable, decode_command, decode_event, decode_heartbeat,
    decode_policy, decode_reservation, decode_safety_stock, decode_selling, traceparent,
    valid_traceparent,
};
pub use encode::{
    dead_letter, encode_command, encode_event, encode_heartbeat, encode_policy, encode_reservation,
    encode_safety_stock, encode_selling,
};

/// Header names.
pub mod header {
    /// `CloudEvents` version.
    pub const SPEC_VERSION: &str = "ce_specversion";
    /// Identity of the event.
    pub const ID: &str = "ce_id";
    /// Who produced it.
    pub const SOURCE: &str = "ce_source";
    /// Type and version of the data.
    pub const TYPE: &str = "ce_type";
    /// The item it is about.
    pub const SUBJECT: &str = "ce_subject";
    /// The producer's clock.
    pub const TIME: &str = "ce_time";
    /// Extension: the command that led to it.
    pub const CAUSE: &str = "ce_cause";
    /// Extension "auth context": the principal whose request led to it.
    pub const PRINCIPAL: &str = "ce_authid";
    /// Media type of the value.
    pub const CONTENT_TYPE: &str = "content-type";
    /// W3C trace context.
    pub const TRACEPARENT: &str = "traceparent";
    /// Signed records: the name of the key.
    pub const KEY_ID: &str = "x-key-id";
    /// Signed records: HMAC-SHA256 under that key, 64 characters of lower-case hex.
    pub const SIGNATURE: &str = "x-signature";
    /// Dead letters: where the record came from, `topic/partition/offset`.
    pub const ORIGIN: &str = "x-origin";
    /// Dead letters: why it could not be read.
    pub const REASON: &str = "x-reason";
}

/// A record to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingRecord {
    /// Chooses the partition.
    pub key: Vec<u8>,
    /// In the order they are written.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The payload; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
}

impl OutgoingRecord {
    /// The trace context that it carries.
    #[must_use]
    pub fn traceparent(&self) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(name, _)| name == header::TRACEPARENT)?;
        std::str::from_utf8(value).ok()
    }
}

/// A record as read, borrowed from the broker client.
#[derive(Debug, Clone, Copy)]
pub struct IncomingRecord<'a> {
    /// The key, when there is one.
    pub key: Option<&'a [u8]>,
    /// All headers, in order.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// The payload; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
}

impl<'a> IncomingRecord<'a> {
    /// First header of a name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.headers.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)
    }
}
