//! Changes for those who follow them: read once, however many follow.
//!
//! Who has read all there is waits for the next commit, which costs nothing. What the commit brought is
//! then read from the database once, away from the async threads, and shared by all that wait for it.

use std::sync::Arc;

use shared_events::Sku;
use tokio::sync::{Mutex, watch};

use crate::database::{Error, Reader};
use crate::history::{Change, Kept, Recorder};
use crate::read_model::{Level, StoreIndex};

/// Changes that are read at once.
const PAGE: usize = 256;

/// What follows a position.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The position.
    pub after: u64,
    /// The changes behind it, in order and none left out; none when there is none yet.
    pub changes: Vec<Change>,
}

impl Page {
    /// The position behind which the next page begins.
    #[must_use]
    pub fn through(&self) -> u64 {
        self.changes.last().map_or(self.after, |change| change.position)
    }
}

/// The way to the history.
#[derive(Debug)]
pub struct Feed {
    news: watch::Receiver<Kept>,
    /// Whoever reads has it alone; others wait without a thread.
    tail: Arc<Mutex<Tail>>,
}

#[derive(Debug)]
struct Tail {
    reader: Reader,
    page: Arc<Page>,
}

impl Feed {
    /// Follows what a recorder records.
    #[must_use]
    pub fn new(recorder: &Recorder, reader: Reader) -> Self {
        let tail = Tail { reader, page: Arc::default() };
        Self { news: recorder.news(), tail: Arc::new(Mutex::new(tail)) }
    }

    /// Tells of commits.
    #[must_use]
    pub fn news(&self) -> watch::Receiver<Kept> {
        self.news.clone()
    }

    /// Which positions there are.
    #[must_use]
    pub fn kept(&self) -> Kept {
        self.news.borrow().clone()
    }

    /// What follows a position; `None` when it is not kept any more.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn page(&self, after: u64) -> Result<Option<Arc<Page>>, Error> {
        let mut tail = Arc::clone(&self.tail).lock_owned().await;
        // A page that was read stays true: positions are never given twice.
        if tail.page.after == after && !tail.page.changes.is_empty() {
            return Ok(Some(Arc::clone(&tail.page)));
        }
        off_the_async_threads(move || {
            let changes = tail.reader.changes(after, PAGE)?;
            if changes.first().is_some_and(|first| first.position != after.saturating_add(1)) {
                return Ok(None);
            }
            tail.page = Arc::new(Page { after, changes });
            Ok(Some(Arc::clone(&tail.page)))
        })
        .await
    }

    /// Levels of a store behind a SKU, in order; none behind the last.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn levels(
        &self,
        store: StoreIndex,
        after: String,
    ) -> Result<Vec<(Sku, Level)>, Error> {
        let tail = Arc::clone(&self.tail).lock_owned().await;
        off_the_async_threads(move || tail.reader.levels(store, &after, PAGE)).await
    }
}

async fn off_the_async_threads<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::Reading(error.to_string()))?
}
