//! Where a service may listen: beyond its own machine only when it asks who calls.

use std::net::SocketAddr;

/// What is said at the start of a service without keys.
pub const OPEN: &str =
    "no token keys: nobody is asked who they are, so only this machine is served";

/// Refuses to listen where strangers reach a service that asks nobody who they are.
///
/// # Errors
/// What is wrong, with the fix.
pub fn require_keys_beyond_loopback(addresses: &[SocketAddr], keys: bool) -> Result<(), String> {
    match addresses.iter().find(|address| !address.ip().to_canonical().is_loopback()) {
        Some(address) if !keys => Err(format!(
            "listening on {address} without keys would let everybody in: make some with \
             `onhand key tokens.key` and give them with --token-keys or --jwks, or listen on 127.0.0.1"
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_keys_only_loopback_is_listened_on() {
        for (address, loopback) in [
            ("127.0.0.1:1", true),
            ("127.9.8.7:1", true),
            ("[::1]:1", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("0.0.0.0:1", false),
            ("[::]:1", false),
            ("10.0.0.1:1", false),
            ("[::ffff:10.0.0.1]:1", false),
        ] {
            let address = [address.parse().unwrap()];
            assert_eq!(require_keys_beyond_loopback(&address, false).is_ok(), loopback);
            assert!(require_keys_beyond_loopback(&address, true).is_ok());
        }
        let both = ["127.0.0.1:1", "0.0.0.0:2"].map(|address| address.parse().unwrap());
        let told = require_keys_beyond_loopback(&both, false).unwrap_err();
        assert!(told.contains("0.0.0.0:2") && told.contains("--token-keys"), "{told}");
    }
}
