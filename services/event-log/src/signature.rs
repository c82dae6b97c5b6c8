//! Who wrote a record, proven by HMAC-SHA256 over all of it that means something. Pure: bytes in, bytes out.
//!
//! Signed are the data set (the topic's name without a chain's prefix, which a mirror may change), the key's
//! name, the record's key, every header that Onhand reads, and the value; each with its length, so that no
//! byte can move from one to the next, and an absent one differs from an empty one. Not signed are partition,
//! offset and time: the broker gives them. A record that is written again is the same record; sequence
//! and command id tell that.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use shared_events::wire::header;

/// Begins what is signed, so that a signature made for anything else is none of a record.
const DOMAIN: &[u8] = b"onhand record 1";
/// The headers that are read, in the order they are signed.
const SIGNED: [&str; 10] = [
    header::SPEC_VERSION,
    header::ID,
    header::SOURCE,
    header::TYPE,
    header::SUBJECT,
    header::TIME,
    header::CAUSE,
    header::PRINCIPAL,
    header::CONTENT_TYPE,
    header::TRACEPARENT,
];
/// Every topic's name begins so, behind the prefix.
const FAMILY: &str = "inventory.";

/// A key that signs records, with its name. Its `Debug` does not show the secret.
#[derive(Clone)]
pub struct RecordKey {
    id: Box<str>,
    keyed: Hmac<Sha256>,
}

impl RecordKey {
    /// A key of a name.
    ///
    /// # Panics
    /// Never: HMAC takes a secret of any length.
    #[must_use]
    pub fn new(id: &str, secret: &[u8]) -> Self {
        let keyed = Hmac::new_from_slice(secret).expect("HMAC takes a secret of any length");
        Self { id: id.into(), keyed }
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What of a record is signed.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a, H> {
    /// The topic it is on.
    pub topic: &'a str,
    /// Its key.
    pub key: &'a [u8],
    /// Its headers: name and value. Of several of a name the first counts, as for whoever reads them.
    pub headers: &'a [(H, &'a [u8])],
    /// Its value.
    pub value: Option<&'a [u8]>,
}

/// The signature of a record, as text for its header.
#[must_use]
pub fn sign<H: AsRef<str>>(key: &RecordKey, parts: Parts<'_, H>) -> String {
    let mut text = String::with_capacity(64);
    for byte in mac(key, parts).finalize().into_bytes() {
        for half in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(u32::from(half), 16));
        }
    }
    text
}

/// Whether a signature is this key's of this record; compared in constant time.
#[must_use]
pub fn verify<H: AsRef<str>>(key: &RecordKey, parts: Parts<'_, H>, signature: &[u8]) -> bool {
    let mut bytes = [0; 32];
    if signature.len() != 2 * bytes.len() {
        return false;
    }
    for (byte, pair) in bytes.iter_mut().zip(signature.chunks_exact(2)) {
        for digit in pair {
            let half = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return false,
            };
            *byte = (*byte << 4) | half;
        }
    }
    mac(key, parts).verify_slice(&bytes).is_ok()
}

/// A topic's name without what was put before it.
#[must_use]
pub fn data_set(topic: &str) -> &str {
    topic.find(FAMILY).and_then(|start| topic.get(start..)).unwrap_or(topic)
}

fn mac<H: AsRef<str>>(key: &RecordKey, parts: Parts<'_, H>) -> Hmac<Sha256> {
    let mut mac = key.keyed.clone();
    mac.update(DOMAIN);
    part(&mut mac, Some(data_set(parts.topic).as_bytes()));
    part(&mut mac, Some(key.id.as_bytes()));
    part(&mut mac, Some(parts.key));
    for name in SIGNED {
        let header = parts.headers.iter().find(|(known, _)| known.as_ref() == name);
        part(&mut mac, header.map(|(_, value)| *value));
    }
    part(&mut mac, parts.value);
    mac
}

fn part(mac: &mut Hmac<Sha256>, bytes: Option<&[u8]>) {
    let Some(bytes) = bytes else {
        mac.update(&[0]);
        return;
    };
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    mac.update(&[1]);
    mac.update(&length.to_le_bytes());
    mac.update(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPIC: &str = "inventory.stock-events.v1";

    fn parts<'a>(
        topic: &'a str,
        key: &'a [u8],
        headers: &'a [(&'a str, &'a [u8])],
        value: Option<&'a [u8]>,
    ) -> Parts<'a, &'a str> {
        Parts { topic, key, headers, value }
    }

    #[test]
    fn a_signature_is_of_this_record_by_this_key_alone() {
        let key = RecordKey::new("a1", &[7; 32]);
        let headers: [(&str, &[u8]); 2] = [(header::ID, b"A/1/1"), (header::TYPE, b"x")];
        let signed = sign(&key, parts(TOPIC, b"A|1", &headers, Some(b"{}")));
        assert_eq!(signed.len(), 64);
        let holds = |key: &RecordKey, parts| verify(key, parts, signed.as_bytes());
        assert!(holds(&key, parts(TOPIC, b"A|1", &headers, Some(b"{}"))));
        // A mirror may put a name before the topic's, and order and other headers do not matter.
        let other: [(&str, &[u8]); 4] =
            [("x", b"y"), (header::TYPE, b"x"), (header::ID, b"A/1/1"), (header::ID, b"A/1/9")];
        assert!(holds(&key, parts("far.inventory.stock-events.v1", b"A|1", &other, Some(b"{}"))));

        let moved: [(&str, &[u8]); 2] = [(header::ID, b"A/1/"), (header::TYPE, b"1x")];
        let more: [(&str, &[u8]); 3] =
            [(header::ID, b"A/1/1"), (header::TYPE, b"x"), (header::CAUSE, b"")];
        let by_another: [(&str, &[u8]); 3] =
            [(header::ID, b"A/1/1"), (header::TYPE, b"x"), (header::PRINCIPAL, b"boss")];
        for wrong in [
            parts(TOPIC, b"A|1", &by_another, Some(b"{}")),
            parts("inventory.heartbeats.v1", b"A|1", &headers, Some(b"{}")),
            parts(TOPIC, b"A|2", &headers, Some(b"{}")),
            parts(TOPIC, b"A|1", &headers, Some(b"{} ")),
            parts(TOPIC, b"A|1", &headers, None),
            parts(TOPIC, b"A|1", &moved, Some(b"{}")),
            parts(TOPIC, b"A|1", &more, Some(b"{}")),
            parts(TOPIC, b"A|1", &[], Some(b"{}")),
        ] {
            assert!(!holds(&key, wrong), "{wrong:?}");
        }
        let right = parts(TOPIC, b"A|1", &headers, Some(b"{}"));
        assert!(!holds(&RecordKey::new("a1", &[8; 32]), right), "another secret");
        assert!(!holds(&RecordKey::new("a2", &[7; 32]), right), "another name");
        for broken in ["", "00", &signed[1..], &signed.to_uppercase(), &"g".repeat(64)] {
            assert!(!verify(&key, right, broken.as_bytes()), "{broken}");
        }
    }

    /// Computed once with Python's `hmac`, so that a change of what is signed does not go unseen.
    #[test]
    fn what_is_signed_stays_what_it_is() {
        let key = RecordKey::new("k1", b"an example secret of 32 bytes !!");
        let headers: [(&str, &[u8]); 2] = [(header::ID, b"A/1/1"), (header::SOURCE, b"/stores/A")];
        let signed = sign(&key, parts(TOPIC, b"A|SKU", &headers, Some(b"{}")));
        assert_eq!(signed, "4e9a60bcb11682db464b1fcc13a99a5f985215604b338e33c31c7d541c5965d2");
    }

    /// One was forgotten once.
    #[test]
    fn every_header_there_is_a_name_for_is_signed() {
        let source = include_str!("../../../shared-events/src/wire/mod.rs");
        let names = source.lines().filter_map(|line| {
            let (_, value) = line.trim().strip_prefix("pub const ")?.split_once(": &str = ")?;
            value.strip_prefix('"')?.strip_suffix("\";")
        });
        let names: Vec<_> = names.collect();
        // The signature's own, and those that a centre puts behind a dead letter's.
        let others = [header::KEY_ID, header::SIGNATURE, header::ORIGIN, header::REASON];
        let read: Vec<_> = names.iter().filter(|name| !others.contains(name)).copied().collect();
        assert_eq!(names.len(), read.len() + others.len(), "{names:?}");
        assert_eq!(read, SIGNED, "in the order of their names' list");
    }

    #[test]
    fn a_key_does_not_show_its_secret() {
        let shown = format!("{:?}", RecordKey::new("k1", b"hunter2"));
        assert_eq!(shown, "RecordKey { id: \"k1\", .. }");
    }
}
