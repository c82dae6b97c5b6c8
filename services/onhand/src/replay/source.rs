//! The file, line by line: each physical line is one record, so a quote left open costs one line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::Path;

use anyhow::Context as _;
use csv::ByteRecord;

use super::sale::Fault;

/// Longest line that is kept: far above any believable sale, and it keeps memory bounded when the
/// file turns out to be something else.
const LINE_BYTES_MAX: usize = 64 * 1024;
const BUFFER_BYTES: usize = 256 * 1024;
/// What spreadsheets put before UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The lines of a file that is read once, from front to back.
#[derive(Debug)]
pub(super) struct Source<R> {
    input: R,
    line: Vec<u8>,
    number: u64,
    bytes: u64,
}

impl Source<BufReader<File>> {
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
        Ok(Self::new(BufReader::with_capacity(BUFFER_BYTES, file)))
    }
}

impl<R: BufRead> Source<R> {
    pub(super) const fn new(input: R) -> Self {
        Self { input, line: Vec::new(), number: 0, bytes: 0 }
    }

    /// Number of the line read last, from 1.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// Bytes read so far.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The line read last, without its end; cut off when it was too long.
    pub(super) fn raw(&self) -> &[u8] {
        let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if self.number == 1 { line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line) } else { line }
    }

    /// Moves to the next line that is not blank and splits it. `None` at the end of the file.
    ///
    /// # Errors
    /// What the file system says. A line that cannot be split is a [`Fault`], and reading goes on.
    pub(super) fn next(
        &mut self,
        fields: &mut ByteRecord,
    ) -> io::Result<Option<Result<(), Fault>>> {
        loop {
            if !self.advance()? {
                return Ok(None);
            }
            if self.line.len() > LINE_BYTES_MAX {
                let reason = format!("a line has at most {LINE_BYTES_MAX} bytes");
                return Ok(Some(Err(Fault::new("line_too_long", reason))));
            }
            if !self.raw().is_empty() {
                return Ok(Some(split(self.raw(), fields)));
            }
        }
    }

    fn advance(&mut self) -> io::Result<bool> {
        self.line.clear();
        let longest = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
        let mut read = (&mut self.input).take(longest).read_until(b'\n', &mut self.line)?;
        if self.line.len() > LINE_BYTES_MAX && !self.line.ends_with(b"\n") {
            read = read.saturating_add(self.input.skip_until(b'\n')?);
        }
        self.number = self.number.saturating_add(1);
        self.bytes = self.bytes.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        Ok(read > 0)
    }
}

/// Splits a line into its fields.
///
/// # Errors
/// A quote that is not closed within the line.
pub(super) fn split(line: &[u8], fields: &mut ByteRecord) -> Result<(), Fault> {
    fields.clear();
    let quotes = line.iter().filter(|byte| **byte == b'"').count();
    if quotes == 0 {
        for field in line.split(|byte| *byte == b',') {
            fields.push_field(field);
        }
        return Ok(());
    }
    // In a well-formed record every quote has its partner, doubled ones too.
    if quotes % 2 == 0
        && csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .buffer_capacity(line.len())
            .from_reader(line)
            .read_byte_record(fields)
            .is_ok_and(|found| found)
    {
        return Ok(());
    }
    fields.clear();
    Err(Fault::new("open_quote", "a quote is left open; a field cannot go on in the next line"))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Line = (u64, Result<Vec<String>, &'static str>);

    fn lines(text: &[u8]) -> Vec<Line> {
        let mut source = Source::new(text);
        let mut fields = ByteRecord::new();
        let mut lines = Vec::new();
        while let Some(line) = source.next(&mut fields).unwrap() {
            let texts = fields.iter().map(|field| String::from_utf8_lossy(field).into_owned());
            lines.push((
                source.number(),
                line.map(|()| texts.collect()).map_err(|fault| fault.code),
            ));
        }
        assert_eq!(source.bytes(), u64::try_from(text.len()).unwrap());
        lines
    }

    fn good(number: u64, fields: &[&str]) -> Line {
        (number, Ok(fields.iter().map(|field| (*field).to_owned()).collect()))
    }

    #[test]
    fn lines_keep_their_numbers_over_blank_ones() {
        assert_eq!(
            lines(b"\xef\xbb\xbfa,b\r\n\r\n\n1,\n,2"),
            [good(1, &["a", "b"]), good(4, &["1", ""]), good(5, &["", "2"])]
        );
    }

    #[test]
    fn quoted_fields_are_unwrapped() {
        assert_eq!(lines(b"\"a,b\",\"say \"\"x\"\"\"\n"), [good(1, &["a,b", "say \"x\""])]);
    }

    #[test]
    fn an_open_quote_costs_one_line() {
        assert_eq!(lines(b"a,\"b\nc,d\n"), [(1, Err("open_quote")), good(2, &["c", "d"])]);
    }

    #[test]
    fn an_endless_line_costs_one_line_and_no_memory() {
        let mut text = vec![b'x'; 3 * LINE_BYTES_MAX];
        text.extend_from_slice(b"\na,b\n");
        assert_eq!(lines(&text), [(1, Err("line_too_long")), good(2, &["a", "b"])]);
        let mut source = Source::new(text.as_slice());
        source.next(&mut ByteRecord::new()).unwrap();
        assert!(source.line.capacity() <= 2 * LINE_BYTES_MAX + 2);
    }
}
