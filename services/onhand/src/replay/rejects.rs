//! The lines that had no effect, with the reason, in a file of their own.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::Context as _;
use csv::ByteRecord;

use super::source::split;

/// Takes rejected lines from all sides; made with the first one.
#[derive(Debug)]
pub(super) struct Rejects {
    path: PathBuf,
    header: ByteRecord,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    writer: Option<csv::Writer<File>>,
    /// The first trouble: a full disk must not stop sales, but it must be told.
    trouble: Option<csv::Error>,
}

impl Rejects {
    /// Forgets what an earlier run rejected.
    pub(super) fn new(path: PathBuf, header: ByteRecord) -> anyhow::Result<Self> {
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("remove the old {}", path.display()))
            }
            _ => Ok(Self { path, header, state: Mutex::default() }),
        }
    }

    /// Writes a line of the file as it was, behind its number and what is wrong with it.
    pub(super) fn line(&self, number: u64, code: &str, reason: &str, raw: &[u8]) {
        let mut fields = ByteRecord::new();
        if split(raw, &mut fields).is_err() {
            fields.push_field(raw);
        }
        self.write(&number.to_string(), code, reason, &fields);
    }

    /// Writes an opening level that the store refused.
    pub(super) fn opening(&self, code: &str, reason: &str) {
        self.write("opening", code, reason, &ByteRecord::new());
    }

    fn write(&self, line: &str, code: &str, reason: &str, fields: &ByteRecord) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.trouble.is_none()
            && let Err(error) = self.try_write(&mut state, line, code, reason, fields)
        {
            tracing::warn!(path = %self.path.display(), %error, "rejected lines cannot be written");
            state.trouble = Some(error);
        }
    }

    fn try_write(
        &self,
        state: &mut State,
        line: &str,
        code: &str,
        reason: &str,
        fields: &ByteRecord,
    ) -> csv::Result<()> {
        let writer = match &mut state.writer {
            Some(writer) => writer,
            none => {
                let mut writer = csv::WriterBuilder::new().flexible(true).from_path(&self.path)?;
                write_record(&mut writer, ["line", "code", "detail"], &self.header)?;
                none.insert(writer)
            }
        };
        write_record(writer, [line, code, reason], fields)
    }

    /// Completes the file and says where it is, if there is one.
    pub(super) fn finish(&self) -> anyhow::Result<Option<&Path>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let writing = || format!("write {}", self.path.display());
        if let Some(error) = state.trouble.take() {
            return Err(error).with_context(writing);
        }
        let Some(mut writer) = state.writer.take() else {
            return Ok(None);
        };
        writer.flush().with_context(writing)?;
        Ok(Some(&self.path))
    }
}

fn write_record(
    writer: &mut csv::Writer<File>,
    first: [&str; 3],
    rest: &ByteRecord,
) -> csv::Result<()> {
    writer.write_record(first.into_iter().map(str::as_bytes).chain(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_made_when_needed_and_afresh() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rejects.csv");
        std::fs::write(&path, "old").unwrap();
        let header = ByteRecord::from(vec!["timestamp", "sku"]);
        let rejects = Rejects::new(path.clone(), header).unwrap();
        assert!(!path.exists());
        assert_eq!(rejects.finish().unwrap(), None);

        rejects.line(7, "not_utf8", "field 1, of 2", b"\xff,x");
        rejects.line(8, "open_quote", "open", b"a,\"b");
        rejects.opening("level_out_of_range", "x: too much");
        assert_eq!(rejects.finish().unwrap(), Some(path.as_path()));
        let expected = b"line,code,detail,timestamp,sku\n\
            7,not_utf8,\"field 1, of 2\",\xff,x\n\
            8,open_quote,open,\"a,\"\"b\"\n\
            opening,level_out_of_range,x: too much\n";
        assert_eq!(
            std::fs::read(&path).unwrap().escape_ascii().to_string(),
            expected.escape_ascii().to_string()
        );
    }

    #[test]
    fn a_place_that_cannot_be_written_is_told_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing").join("rejects.csv");
        let rejects = Rejects::new(path, ByteRecord::new()).unwrap();
        rejects.line(7, "x", "y", b"");
        rejects.line(8, "x", "y", b"");
        assert!(rejects.finish().unwrap_err().to_string().starts_with("write "));
    }
}
