//! Any bytes in place of a store's journal: it is refused with a reason or opened, and never panics.
//!
//! Input: at most so many patches of a good journal, each an offset (3 bytes), a length (1 byte) and bytes;
//! or, when the first byte is 0, the whole file.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use store_service::journal::{DATABASE, Journal};

static GOOD: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    drop(open(folder.path()).expect("a new journal"));
    std::fs::read(folder.path().join(DATABASE)).expect("its file")
});

fuzz_target!(|input: &[u8]| {
    let folder = tempfile::tempdir().expect("a folder");
    let bytes = match input.split_first() {
        Some((0, whole)) => whole.to_vec(),
        _ => patched(input),
    };
    std::fs::write(folder.path().join(DATABASE), bytes).expect("a file");
    if let Err(refused) = open(folder.path()) {
        assert!(!refused.to_string().is_empty());
    }
});

fn open(folder: &Path) -> Result<Journal, store_service::journal::Error> {
    Journal::open(folder, &"A".parse().expect("a name"), |_event| {})
}

fn patched(mut input: &[u8]) -> Vec<u8> {
    let mut file = GOOD.clone();
    while let [a, b, c, length, rest @ ..] = input {
        let (patch, behind) = rest.split_at(usize::from(*length).min(rest.len()));
        let at = u32::from_be_bytes([0, *a, *b, *c]) as usize % file.len();
        for (place, byte) in file[at..].iter_mut().zip(patch) {
            *place = *byte;
        }
        input = behind;
    }
    file
}
