//! Where what is in a journal's files, by SQLite's file format.

use std::fs;
use std::path::{Path, PathBuf};

use fastrand::Rng;
use rusqlite::Connection;

const DATABASE: &str = "journal.db";
const LOG: &str = "journal.db-wal";
const LOG_HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

/// A kind of place.
#[derive(Debug, Clone, Copy)]
pub(super) enum Region {
    DatabaseHeader,
    EventsRoot,
    EventsLeaf,
    IndexRoot,
    IndexLeaf,
    LogHeader,
    FrameHeader,
    FramePage,
}

impl Region {
    pub(super) const ALL: [Self; 8] = [
        Self::DatabaseHeader,
        Self::EventsRoot,
        Self::EventsLeaf,
        Self::IndexRoot,
        Self::IndexLeaf,
        Self::LogHeader,
        Self::FrameHeader,
        Self::FramePage,
    ];

    /// Whether it is in the log, and not in the database.
    pub(super) const fn in_log(self) -> bool {
        matches!(self, Self::LogHeader | Self::FrameHeader | Self::FramePage)
    }
}

/// A bit of a file.
pub(super) struct Place {
    pub(super) file: &'static str,
    pub(super) byte: usize,
    pub(super) bit: u8,
}

/// The files of a journal nobody has open.
pub(super) struct Pages {
    folder: PathBuf,
    database: Vec<u8>,
    log: Vec<u8>,
    page: usize,
}

impl Pages {
    pub(super) fn of(folder: &Path) -> Self {
        let database = fs::read(folder.join(DATABASE)).unwrap();
        // None when all of it was moved into the database.
        let log = fs::read(folder.join(LOG)).unwrap_or_default();
        let page = usize::from(u16::from_be_bytes([database[16], database[17]]));
        Self { folder: folder.to_owned(), database, log, page }
    }

    /// A bit of a region; of a page, one in its cells.
    pub(super) fn place(&self, region: Region, random: &mut Rng) -> Place {
        let (file, bytes) = match region {
            Region::DatabaseHeader => (DATABASE, 0..100),
            Region::EventsRoot => (DATABASE, self.cells(self.root("events"))),
            Region::EventsLeaf => (DATABASE, self.cells(self.leaf("events", random))),
            Region::IndexRoot => (DATABASE, self.cells(self.root("events_by_item"))),
            Region::IndexLeaf => (DATABASE, self.cells(self.leaf("events_by_item", random))),
            Region::LogHeader => (LOG, 0..LOG_HEADER),
            Region::FrameHeader => {
                let frame = self.frame(random.usize(0..self.frames()));
                (LOG, frame.start..frame.start + FRAME_HEADER)
            }
            Region::FramePage => {
                let frame = self.frame(random.usize(0..self.frames()));
                (LOG, frame.start + FRAME_HEADER..frame.end)
            }
        };
        Place { file, byte: random.usize(bytes), bit: random.u8(0..8) }
    }

    /// Cuts frames off the log; gives how many are left.
    pub(super) fn cut_frames(&self, frames: usize) -> usize {
        let left = self.frames() - frames;
        fs::write(self.folder.join(LOG), &self.log[..self.frame(left).start]).unwrap();
        left
    }

    /// Frames that count. The log is written from its front again and again: those of an earlier round
    /// have other salts than its header.
    fn frames(&self) -> usize {
        let size = FRAME_HEADER + self.page;
        let frames = self.log[LOG_HEADER..].chunks_exact(size);
        let frames = frames.take_while(|frame| frame[8..16] == self.log[16..24]).count();
        assert!(frames > 0, "the log is empty: nothing to damage");
        frames
    }

    /// Where a frame is in the log.
    const fn frame(&self, number: usize) -> std::ops::Range<usize> {
        let size = FRAME_HEADER + self.page;
        let start = LOG_HEADER + number * size;
        start..start + size
    }

    /// The first page of a tree, as of the database without its log.
    fn root(&self, tree: &str) -> usize {
        let copy = tempfile::tempdir().unwrap();
        let path = copy.path().join(DATABASE);
        fs::write(&path, &self.database).unwrap();
        let sql = "SELECT rootpage FROM sqlite_schema WHERE name = ?1";
        let database = Connection::open(path).unwrap();
        let number: u32 = database.query_row(sql, [tree], |row| row.get(0)).unwrap();
        usize::try_from(number).unwrap()
    }

    /// A leaf of a tree.
    fn leaf(&self, tree: &str, random: &mut Rng) -> usize {
        let mut number = self.root(tree);
        loop {
            let page = self.page(number);
            // Kinds 2 and 5 have children: each cell begins with one, the last is in the header.
            if page[0] != 2 && page[0] != 5 {
                return number;
            }
            let cells = usize::from(u16::from_be_bytes([page[3], page[4]]));
            let cell = random.usize(0..=cells);
            let at = if cell == cells {
                8
            } else {
                let pointer = 12 + 2 * cell;
                usize::from(u16::from_be_bytes([page[pointer], page[pointer + 1]]))
            };
            let child = u32::from_be_bytes(page[at..at + 4].try_into().unwrap());
            number = usize::try_from(child).unwrap();
        }
    }

    /// Where the cells of a page are in the file.
    fn cells(&self, number: usize) -> std::ops::Range<usize> {
        let page = self.page(number);
        let first = usize::from(u16::from_be_bytes([page[5], page[6]]));
        let start = (number - 1) * self.page;
        start + first..start + self.page
    }

    fn page(&self, number: usize) -> &[u8] {
        &self.database[(number - 1) * self.page..number * self.page]
    }
}
