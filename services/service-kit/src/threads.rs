//! The threads of a service: none may end unnoticed, all are joined.

use std::thread::JoinHandle;

use anyhow::{Context as _, anyhow};
use tokio::sync::mpsc;

/// Threads that are expected to run until they are told to stop.
#[derive(Debug)]
pub struct Threads {
    handles: Vec<(&'static str, JoinHandle<anyhow::Result<()>>)>,
    ending: mpsc::UnboundedSender<&'static str>,
    ended: mpsc::UnboundedReceiver<&'static str>,
}

impl Default for Threads {
    fn default() -> Self {
        // Unbounded, but each thread sends once.
        let (ending, ended) = mpsc::unbounded_channel();
        Self { handles: Vec::new(), ending, ended }
    }
}

impl Threads {
    /// Starts a thread.
    ///
    /// # Errors
    /// When the system refuses it.
    pub fn spawn(
        &mut self,
        name: &'static str,
        work: impl FnOnce() -> anyhow::Result<()> + Send + 'static,
    ) -> anyhow::Result<()> {
        let announce = Announce { name, ending: self.ending.clone() };
        let handle = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                // Dropped also when the work panics: nobody may go on serving without it.
                let _announce = announce;
                work()
            })
            .with_context(|| format!("start the {name} thread"))?;
        self.handles.push((name, handle));
        Ok(())
    }

    /// Waits until the first thread ends; before a stop that is a failure of the service.
    pub async fn ended(&mut self) -> anyhow::Error {
        let name = self.ended.recv().await.unwrap_or("last");
        anyhow!("the {name} thread ended")
    }

    /// Joins the thread of a name.
    ///
    /// # Errors
    /// Its own error, or that it panicked.
    pub async fn join_one(&mut self, name: &str) -> anyhow::Result<()> {
        let Some(at) = self.handles.iter().position(|(known, _)| *known == name) else {
            return Ok(());
        };
        let (name, handle) = self.handles.swap_remove(at);
        tokio::task::spawn_blocking(move || handle.join())
            .await
            .context("join a thread")?
            .unwrap_or_else(|_panic| Err(anyhow!("the thread panicked; the log has the message")))
            .with_context(|| format!("{name} thread"))
    }

    /// Joins all threads.
    ///
    /// # Errors
    /// The first error among them; all are joined nevertheless.
    pub async fn join(mut self) -> anyhow::Result<()> {
        let mut result = Ok(());
        while let Some((name, _)) = self.handles.first() {
            let name = *name;
            result = result.and(self.join_one(name).await);
        }
        result
    }
}

struct Announce {
    name: &'static str,
    ending: mpsc::UnboundedSender<&'static str>,
}

impl Drop for Announce {
    fn drop(&mut self) {
        if self.ending.send(self.name).is_err() {
            tracing::debug!(name = self.name, "ended after its service");
        }
    }
}
