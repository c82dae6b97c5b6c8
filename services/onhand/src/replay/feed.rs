//! Reads the file and hands each store's lines to its lane, never further ahead than memory allows.

use std::io::BufRead;
use std::sync::Arc;

use anyhow::Context as _;
use csv::ByteRecord;
use shared_events::StoreId;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};

use super::lane::{Batch, Shared};
use super::report::Tally;
use super::sale::Reader;
use super::source::Source;

/// Batches a lane may have waiting: one to send next while another one is being gathered.
pub(super) const BATCHES_WAITING: usize = 2;
/// Lines on their way in all lanes together: bounds memory for chains with many stores.
const LINES_WAITING: u32 = 200_000;
/// Lines gathered for batches that are not full yet; beyond it they go out as they are.
const LINES_GATHERED: usize = 50_000;

/// The reading side.
#[derive(Debug)]
pub(super) struct Feed {
    shared: Arc<Shared>,
    reader: Reader,
    lanes: Vec<Gathering>,
    room: Arc<Semaphore>,
    runtime: Handle,
    gathered: usize,
}

#[derive(Debug)]
struct Gathering {
    store: StoreId,
    batch: Batch,
    lane: mpsc::Sender<Batch>,
    tally: Tally,
}

/// Lines that never went to a lane.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Kept {
    /// By store, in the order of the lanes.
    pub(super) stores: Vec<Tally>,
    /// Bad lines that no store can be told of.
    pub(super) elsewhere: Tally,
}

/// Why reading goes on or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    On,
    Stopped,
}

impl Feed {
    /// A feed of lanes, which are in the order the reader knows the stores by.
    pub(super) fn new(
        shared: Arc<Shared>,
        reader: Reader,
        lanes: Vec<(StoreId, mpsc::Sender<Batch>)>,
        runtime: Handle,
    ) -> Self {
        let lanes = lanes
            .into_iter()
            .map(|(store, lane)| Gathering {
                store,
                batch: Batch::default(),
                lane,
                tally: Tally::default(),
            })
            .collect();
        let room = Arc::new(Semaphore::new(usize::try_from(LINES_WAITING).unwrap_or(usize::MAX)));
        Self { shared, reader, lanes, room, runtime, gathered: 0 }
    }

    /// Reads to the end of the file or until told to stop. Blocks: it has a thread of its own.
    ///
    /// # Errors
    /// What the file system says.
    pub(super) fn run<R: BufRead>(mut self, mut source: Source<R>) -> anyhow::Result<Kept> {
        let mut elsewhere = Tally::default();
        let mut fields = ByteRecord::new();
        let mut flow = Flow::On;
        // The header was checked before.
        source.next(&mut fields).context("read the file")?;
        while flow == Flow::On
            && let Some(line) = source.next(&mut fields).context("read the file")?
        {
            if self.shared.progress.read(source.number(), source.bytes())
                && self.shared.stop.is_cancelled()
            {
                flow = Flow::Stopped;
                continue;
            }
            let reading = match line {
                Ok(()) => self.reader.read(&fields),
                Err(fault) => Err(fault),
            };
            let store = match &reading {
                Ok(reading) => Some(reading.store),
                Err(_) => self.reader.store(&fields),
            };
            let lane = store.and_then(|store| self.lanes.get_mut(store));
            match (reading, lane) {
                (Ok(reading), Some(lane)) if reading.quantity == 0 => lane.tally.no_ops += 1,
                (Ok(reading), Some(lane)) => {
                    let (number, raw) = (source.number(), source.raw());
                    let writer = &self.shared.writer;
                    lane.batch.push(writer.sale(&lane.store, reading, number, &fields, raw));
                    self.gathered += 1;
                    flow = self.send_full(store)?;
                }
                (Err(fault), lane) => {
                    lane.map_or(&mut elsewhere, |lane| &mut lane.tally).bad += 1;
                    let (number, rejects) = (source.number(), &self.shared.rejects);
                    rejects.line(number, fault.code, &fault.reason, source.raw());
                }
                // A reading names one of the lanes.
                (Ok(_), None) => {}
            }
        }
        if flow == Flow::On {
            self.send_all()?;
        }
        let stores = self.lanes.into_iter().map(|lane| lane.tally).collect();
        Ok(Kept { stores, elsewhere })
    }

    fn send_full(&mut self, store: Option<usize>) -> anyhow::Result<Flow> {
        if self.gathered >= LINES_GATHERED {
            return self.send_all();
        }
        let lines = self.shared.batch_lines;
        match store.and_then(|store| self.lanes.get_mut(store)) {
            Some(lane) if lane.batch.is_full(lines) => {
                let batch = std::mem::take(&mut lane.batch);
                self.gathered = self.gathered.saturating_sub(batch.entries.len());
                send(&self.runtime, &self.shared, &self.room, &lane.lane, batch)
            }
            _ => Ok(Flow::On),
        }
    }

    fn send_all(&mut self) -> anyhow::Result<Flow> {
        self.gathered = 0;
        for lane in self.lanes.iter_mut().filter(|lane| !lane.batch.entries.is_empty()) {
            let batch = std::mem::take(&mut lane.batch);
            if send(&self.runtime, &self.shared, &self.room, &lane.lane, batch)? == Flow::Stopped {
                return Ok(Flow::Stopped);
            }
        }
        Ok(Flow::On)
    }
}

fn send(
    runtime: &Handle,
    shared: &Shared,
    room: &Arc<Semaphore>,
    lane: &mpsc::Sender<Batch>,
    mut batch: Batch,
) -> anyhow::Result<Flow> {
    let lines = u32::try_from(batch.entries.len()).unwrap_or(LINES_WAITING).min(LINES_WAITING);
    let sent = runtime.block_on(shared.stop.run_until_cancelled(async {
        batch.room = Some(Arc::clone(room).acquire_many_owned(lines).await?);
        lane.send(batch).await.map_err(|_ended| anyhow::anyhow!("a lane ended early"))
    }));
    match sent {
        Some(Ok(())) => Ok(Flow::On),
        // A lane ends early only because of the stop, which it may have seen first.
        Some(Err(_)) if shared.stop.is_cancelled() => Ok(Flow::Stopped),
        Some(Err(error)) => Err(error),
        None => Ok(Flow::Stopped),
    }
}
