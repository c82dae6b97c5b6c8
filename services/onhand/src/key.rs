//! `onhand key`: files of secret keys.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use secrecy::zeroize::Zeroizing;
use service_kit::clock;
use service_kit::key_file::{KeyId, KeyRing, MAX_KEYS, new_line};
use tracing::info;

const HEADER: &str =
    "# Keys of Onhand: KID SECRET. The first signs, all verify. Keep this file secret.\n";

/// Make a file of secret keys, for tokens and for signed records; one that is there is never written over.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Example: onhand key tokens.key")]
pub(crate) struct Args {
    /// The file.
    file: PathBuf,
    /// Put a new key first in a file that is there; the others still verify.
    #[arg(long, conflicts_with = "if_missing")]
    rotate: bool,
    /// Leave a file that is there as it is, and say nothing.
    #[arg(long)]
    if_missing: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let path = &args.file;
    if args.rotate {
        let ring = KeyRing::read(path)?;
        let keys = ring.keys().count();
        if keys >= MAX_KEYS {
            bail!(
                "{} has {keys} keys; take out those that nothing is signed with any more",
                path.display()
            );
        }
        let before = Zeroizing::new(std::fs::read_to_string(path)?);
        let id = id(Some(&ring))?;
        let text = Zeroizing::new(format!("{}{}", &*new_line(&id)?, &*before));
        let mode = std::fs::metadata(path)?.permissions();
        replace(path, &text, mode).with_context(|| format!("write {}", path.display()))?;
        info!(file = %path.display(), signing = %id, keys = keys + 1, "a new key signs; the others still verify");
        return Ok(ExitCode::SUCCESS);
    }
    let id = id(None)?;
    let text = Zeroizing::new(format!("{HEADER}{}", &*new_line(&id)?));
    match create(path, &text) {
        Ok(()) => info!(file = %path.display(), signing = %id, "the key file was made"),
        Err(error) if error.kind() == ErrorKind::AlreadyExists && args.if_missing => {
            // One that cannot be used would fail its services later, and further from here.
            KeyRing::read(path)?;
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            bail!("{} is there already; --rotate adds a key to it", path.display())
        }
        Err(error) => return Err(error).with_context(|| format!("write {}", path.display())),
    }
    Ok(ExitCode::SUCCESS)
}

/// A name that says when the key was made.
fn id(known: Option<&KeyRing>) -> anyhow::Result<KeyId> {
    let seconds = clock::unix_millis() / 1_000;
    let taken = |id: &str| known.is_some_and(|ring| ring.find(id).is_some());
    let mut names = (seconds..).map(|seconds| format!("k{seconds}"));
    let free = names.find(|id| !taken(id)).context("find a name for the key")?;
    free.parse().map_err(anyhow::Error::msg)
}

/// Writes a new file under a name that nobody has; readers see all of it or nothing.
fn create(path: &Path, text: &str) -> std::io::Result<()> {
    let draft = draft(path, text, Permissions::from_mode(0o600))?;
    // A link, unlike a rename, does not write over what is there.
    let linked = std::fs::hard_link(&draft, path);
    std::fs::remove_file(&draft)?;
    linked?;
    sync_folder(path)
}

fn replace(path: &Path, text: &str, mode: Permissions) -> std::io::Result<()> {
    let draft = draft(path, text, mode)?;
    std::fs::rename(&draft, path)?;
    sync_folder(path)
}

fn draft(path: &Path, text: &str, mode: Permissions) -> std::io::Result<PathBuf> {
    let mut name = path.file_name().ok_or(ErrorKind::InvalidInput)?.to_owned();
    name.push(format!(".{}", std::process::id()));
    let draft = path.with_file_name(name);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    let written = file
        .set_permissions(mode)
        .and_then(|()| file.write_all(text.as_bytes()))
        .and_then(|()| file.sync_all());
    if let Err(error) = written {
        std::fs::remove_file(&draft)?;
        return Err(error);
    }
    Ok(draft)
}

fn sync_folder(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
}
