//! Short names for what was asked, so that another request under the same key is seen.

use serde::Serialize;

/// Names what is asked: what it says, not how it was spelled.
pub type Fingerprint = [u8; 16];

/// The name of a request's content.
///
/// # Panics
/// Never: a request is plain data.
#[must_use]
pub fn fingerprint(asked: &impl Serialize) -> Fingerprint {
    let json = serde_json::to_vec(asked).expect("a request is plain data");
    let mut fingerprint = [0; 16];
    for (to, from) in fingerprint.iter_mut().zip(blake3::hash(&json).as_bytes()) {
        *to = *from;
    }
    fingerprint
}
