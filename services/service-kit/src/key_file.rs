//! Files of symmetric keys: the one format for keys that sign tokens and keys that sign records.
//!
//! Each line is `KID SECRET`, the secret in base64url; `#` begins a comment. The first key signs,
//! all verify: a rotation puts a new line first and leaves the old one until nothing signed with it
//! is valid any more. A changed file is noticed while the service runs.

use std::fmt;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::zeroize::{Zeroize as _, Zeroizing};
use secrecy::{ExposeSecret as _, SecretSlice};
use tracing::{info, warn};

/// Fewest bytes of a secret: as many as SHA-256 gives out.
pub const MIN_SECRET_BYTES: usize = 32;
/// Most bytes of a secret.
pub const MAX_SECRET_BYTES: usize = 512;
/// Most keys of a file: a rotation needs two.
pub const MAX_KEYS: usize = 16;
/// Most bytes of a file.
const MAX_FILE_BYTES: u64 = 64 * 1024;
/// Time between two looks at a file.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Permissions that a file of secrets must not give: anything to others, writing to its group. A
/// group may read: that is how orchestrators hand secrets to a process that is not root.
const TOO_OPEN: u32 = 0o027;

/// Names a key; no secret.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(Arc<str>);

impl KeyId {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if (1..=32).contains(&text.len()) && text.bytes().all(valid) {
            Ok(Self(text.into()))
        } else {
            Err("a key id is 1 to 32 characters of A-Z a-z 0-9 . _ -")
        }
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({})", self.0)
    }
}

/// A symmetric key with its name. Its `Debug` does not show the secret.
#[derive(Debug, Clone)]
pub struct Key {
    id: KeyId,
    secret: SecretSlice<u8>,
}

impl Key {
    /// A key.
    ///
    /// # Errors
    /// The rule that the secret breaks.
    pub fn new(id: KeyId, secret: Vec<u8>) -> Result<Self, &'static str> {
        if (MIN_SECRET_BYTES..=MAX_SECRET_BYTES).contains(&secret.len()) {
            return Ok(Self { id, secret: secret.into() });
        }
        drop(Zeroizing::new(secret));
        Err("a secret is 32 to 512 bytes")
    }

    /// Its name.
    #[must_use]
    pub const fn id(&self) -> &KeyId {
        &self.id
    }

    /// Its secret, to be handed to the cryptography and nothing else.
    #[must_use]
    pub fn secret(&self) -> &[u8] {
        self.secret.expose_secret()
    }
}

/// The keys of a file, at least one.
#[derive(Debug, Clone)]
pub struct KeyRing {
    signing: Key,
    retiring: Vec<Key>,
}

/// Why keys cannot be had. No message contains a secret, or any text of the file but its key ids.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// More than its owner and group may read it.
    #[error(
        "{0} has mode {mode:04o}, so others may read or change it: run `chmod 600 {0}`, or 440 for a service in its group",
        path.display()
    )]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It breaks the format.
    #[error("{}: {wrong}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The line and its rule.
        wrong: Wrong,
    },
}

/// What is wrong with a text of keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// It is larger than any file of keys.
    #[error("a key file is at most 64 KiB of UTF-8")]
    TooLarge,
    /// No key in it.
    #[error("it has no key; `onhand key FILE` makes a file with one")]
    Empty,
    /// More keys than anybody rotates.
    #[error("it has more than 16 keys; take out those that nothing is signed with any more")]
    TooMany,
    /// Two keys of one name.
    #[error("line {0}: a key of this id is in the file already")]
    Twice(usize),
    /// A line breaks a rule.
    #[error("line {line}: {rule}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What it should be.
        rule: &'static str,
    },
}

impl FromStr for KeyRing {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        let mut keys: Vec<Key> = Vec::new();
        for (line, text) in (1..).zip(text.lines()) {
            let text = text.split_once('#').map_or(text, |(before, _comment)| before).trim();
            if text.is_empty() {
                continue;
            }
            let key = key(text).map_err(|rule| Wrong::Line { line, rule })?;
            if keys.iter().any(|known| known.id == key.id) {
                return Err(Wrong::Twice(line));
            }
            keys.push(key);
            if keys.len() > MAX_KEYS {
                return Err(Wrong::TooMany);
            }
        }
        let mut keys = keys.into_iter();
        let signing = keys.next().ok_or(Wrong::Empty)?;
        Ok(Self { signing, retiring: keys.collect() })
    }
}

fn key(line: &str) -> Result<Key, &'static str> {
    let mut words = line.split_ascii_whitespace();
    let (Some(id), Some(secret), None) = (words.next(), words.next(), words.next()) else {
        return Err("a key is KID SECRET, separated by a space");
    };
    let id = id.parse()?;
    let secret = URL_SAFE_NO_PAD
        .decode(secret.trim_end_matches('='))
        .map_err(|_quotes_the_secret| "the secret is not base64url")?;
    Key::new(id, secret)
}

impl KeyRing {
    /// A ring of one key.
    #[must_use]
    pub const fn of(signing: Key) -> Self {
        Self { signing, retiring: Vec::new() }
    }

    /// Reads a file of keys.
    ///
    /// # Errors
    /// [`Error`], with the fix.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = text(path)?;
        text.parse().map_err(|wrong| Error::Invalid { path: path.to_owned(), wrong })
    }

    /// The key that signs.
    #[must_use]
    pub const fn signing(&self) -> &Key {
        &self.signing
    }

    /// The key of a name: any of the ring verifies.
    #[must_use]
    pub fn find(&self, kid: &str) -> Option<&Key> {
        self.keys().find(|key| key.id.as_str() == kid)
    }

    /// All keys, the one that signs first.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.signing).chain(&self.retiring)
    }
}

/// The text of a file that only its owner and group may read.
fn text(path: &Path) -> Result<Zeroizing<String>, Error> {
    let unreadable = |source| Error::Unreadable { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.mode() & 0o7777;
    if mode & TOO_OPEN != 0 {
        return Err(Error::TooOpen { path: path.to_owned(), mode });
    }
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    let too_large = || Error::Invalid { path: path.to_owned(), wrong: Wrong::TooLarge };
    if u64::try_from(bytes.len()).map_or(true, |bytes| bytes > MAX_FILE_BYTES) {
        return Err(too_large());
    }
    match String::from_utf8(std::mem::take(&mut *bytes)) {
        Ok(text) => Ok(Zeroizing::new(text)),
        Err(error) => {
            error.into_bytes().zeroize();
            Err(too_large())
        }
    }
}

/// A file of keys that is followed while it changes. What broke it is logged once; the keys of
/// before go on meanwhile.
#[derive(Debug)]
pub struct KeyFile {
    path: PathBuf,
    followed: Mutex<Followed>,
}

#[derive(Debug)]
struct Followed {
    ring: Arc<KeyRing>,
    looked: Instant,
    /// What the last look found: the hash of a text, or why there was none.
    found: Result<blake3::Hash, String>,
}

impl KeyFile {
    /// Opens a file of keys.
    ///
    /// # Errors
    /// [`Error`], with the fix.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let (ring, hash) = read(path)?;
        let followed = Followed { ring: Arc::new(ring), looked: Instant::now(), found: Ok(hash) };
        Ok(Self { path: path.to_owned(), followed: Mutex::new(followed) })
    }

    /// The keys now. Looks at the file at most once a second; the caller may be on a thread that
    /// serves requests, since that is one read of a small local file.
    #[must_use]
    pub fn ring(&self) -> Arc<KeyRing> {
        let mut followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        if followed.looked.elapsed() >= LOOK_EVERY {
            followed.looked = Instant::now();
            self.look(&mut followed);
        }
        Arc::clone(&followed.ring)
    }

    fn look(&self, followed: &mut Followed) {
        let found = match read(&self.path) {
            Ok((ring, hash)) => {
                if followed.found.as_ref() != Ok(&hash) {
                    info!(file = %self.path.display(), signing = %ring.signing.id, "keys were read anew");
                    followed.ring = Arc::new(ring);
                }
                Ok(hash)
            }
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = &found
            && followed.found.as_ref() != Err(error)
        {
            warn!(%error, "the keys cannot be read anew; those of before are used");
        }
        followed.found = found;
    }
}

fn read(path: &Path) -> Result<(KeyRing, blake3::Hash), Error> {
    let text = text(path)?;
    let ring = text.parse().map_err(|wrong| Error::Invalid { path: path.to_owned(), wrong })?;
    Ok((ring, blake3::hash(text.as_bytes())))
}

/// A new line for a key file: a key nobody has seen.
///
/// # Errors
/// When the system has no randomness to give.
pub fn new_line(id: &KeyId) -> Result<Zeroizing<String>, getrandom::Error> {
    let mut secret = Zeroizing::new([0; MIN_SECRET_BYTES]);
    getrandom::fill(&mut *secret)?;
    let encoded = Zeroizing::new(URL_SAFE_NO_PAD.encode(*secret));
    Ok(Zeroizing::new(format!("{id} {}\n", &*encoded)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const OLD: &str = "old AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    const NEW: &str = "new BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA";

    fn wrong(text: &str) -> String {
        text.parse::<KeyRing>().unwrap_err().to_string()
    }

    fn write(path: &Path, text: &str, mode: u32) {
        std::fs::write(path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn the_first_key_signs_and_all_verify() {
        let ring: KeyRing = format!("# ours\n\n{NEW} # since May\n{OLD}=\n").parse().unwrap();
        assert_eq!(ring.signing().id().as_str(), "new");
        assert_eq!(ring.find("old").unwrap().secret(), [0; 32]);
        assert!(ring.find("other").is_none());
        assert!(!format!("{ring:?}").contains("[0"), "{ring:?}");
    }

    #[test]
    fn a_broken_file_is_named_by_line_and_rule_without_its_secret() {
        assert_eq!(wrong("# nothing"), Wrong::Empty.to_string());
        assert_eq!(wrong(&format!("{OLD}\n{OLD}")), Wrong::Twice(2).to_string());
        for (text, rule) in [
            ("hunter2", "line 1: a key is KID SECRET"),
            ("a b c", "line 1: a key is KID SECRET"),
            ("a hunter20", "line 1: a secret is 32 to 512 bytes"),
            ("a hunter!2", "line 1: the secret is not base64url"),
            (&format!("{OLD}\na/b {}", &OLD[4..]), "line 2: a key id is"),
        ] {
            let told = wrong(text);
            assert!(told.starts_with(rule) && !told.contains("hunter"), "{told}");
        }
        let many: String = (0..17).map(|n| format!("k{n}{}\n", &OLD[3..])).collect();
        assert_eq!(wrong(&many), Wrong::TooMany.to_string());
    }

    #[test]
    fn a_file_others_may_read_is_refused_with_the_fix() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        for (mode, fine) in [(0o600, true), (0o440, true), (0o644, false), (0o660, false)] {
            write(&path, OLD, mode);
            let read = KeyRing::read(&path);
            assert_eq!(read.is_ok(), fine, "{mode:o}");
            if let Err(error) = read {
                assert!(error.to_string().contains("chmod 600"), "{error}");
            }
        }
    }

    #[test]
    fn a_changed_file_is_noticed_and_a_broken_one_leaves_the_keys_of_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        write(&path, OLD, 0o600);
        let file = KeyFile::open(&path).unwrap();
        let look = || {
            let mut followed = file.followed.lock().unwrap();
            file.look(&mut followed);
            followed.ring.signing().id().to_string()
        };
        write(&path, &format!("{NEW}\n{OLD}"), 0o600);
        assert_eq!(look(), "new");
        write(&path, "broken", 0o600);
        assert_eq!(look(), "new");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(look(), "new");
        write(&path, OLD, 0o600);
        assert_eq!(look(), "old");
    }

    #[test]
    fn new_keys_differ_and_can_be_read() {
        let id = "k1".parse().unwrap();
        let (one, other) = (new_line(&id).unwrap(), new_line(&id).unwrap());
        assert_ne!(*one, *other);
        assert_eq!(one.parse::<KeyRing>().unwrap().signing().id(), &id);
    }
}
