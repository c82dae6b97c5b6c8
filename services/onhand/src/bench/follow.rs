//! Followers of the centre's stream, and when each of them heard of what.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context as _, ensure};
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::chain::STORE;
use super::load::connect;
use super::process::Process;

/// When each event of the measured store was heard, by sequence.
pub(super) type Heard = Vec<(u64, Instant)>;

/// Clients of the stream.
pub(super) struct Followers {
    followers: Vec<JoinHandle<anyhow::Result<Heard>>>,
    stop: CancellationToken,
    heard: Arc<AtomicUsize>,
}

impl Followers {
    /// Connects so many, each from now on.
    pub(super) async fn open(centre: &Process, count: usize) -> anyhow::Result<Self> {
        let (stop, heard) = (CancellationToken::new(), Arc::new(AtomicUsize::new(0)));
        let mut followers = Vec::new();
        for _ in 0..count {
            let mut connection = connect(centre.address).await?;
            let request = Request::get("/api/stream").header("host", centre.address.to_string());
            let request = request.body(Full::<Bytes>::default()).context("make a request")?;
            let answer = connection.send_request(request).await?;
            ensure!(answer.status().is_success(), "the stream answered {}", answer.status());
            let mut body = answer.into_body();
            // The id on its own says that it has begun.
            body.frame().await.context("the stream begins")??;
            let (stop, heard) = (stop.clone(), Arc::clone(&heard));
            followers.push(tokio::spawn(async move {
                let (_open, mut reader, mut all) = (connection, Reader::default(), Heard::new());
                loop {
                    let frame = tokio::select! {
                        frame = body.frame() => frame.context("the stream ended")??,
                        () = stop.cancelled() => return Ok(all),
                    };
                    let Ok(bytes) = frame.into_data() else { continue };
                    let (now, before) = (Instant::now(), all.len());
                    reader.take(&bytes, &mut |sequence| all.push((sequence, now)));
                    heard.fetch_add(all.len() - before, Ordering::Relaxed);
                }
            }));
        }
        Ok(Self { followers, stop, heard })
    }

    /// What all of them heard so far.
    pub(super) fn heard(&self) -> usize {
        self.heard.load(Ordering::Relaxed)
    }

    /// Ends them, and tells what each heard.
    pub(super) async fn close(self) -> anyhow::Result<Vec<Heard>> {
        self.stop.cancel();
        let mut all = Vec::new();
        for follower in self.followers {
            all.push(follower.await.context("join a follower")??);
        }
        Ok(all)
    }
}

/// Finds the event ids in a stream that comes in pieces.
#[derive(Debug, Default)]
struct Reader {
    rest: Vec<u8>,
}

impl Reader {
    fn take(&mut self, bytes: &[u8], heard: &mut dyn FnMut(u64)) {
        self.rest.extend_from_slice(bytes);
        let mut begin = 0;
        while let Some(length) =
            self.rest.get(begin..).and_then(|rest| rest.iter().position(|byte| *byte == b'\n'))
        {
            let line = self.rest.get(begin..begin + length).unwrap_or_default();
            if let Some(sequence) = std::str::from_utf8(line).ok().and_then(sequence) {
                heard(sequence);
            }
            begin += length + 1;
        }
        self.rest.drain(..begin);
    }
}

/// The sequence of the event that a line tells, when it is one of the measured store.
fn sequence(line: &str) -> Option<u64> {
    let id = line.strip_prefix("data:")?.split_once("\"eventId\":\"")?.1.split_once('"')?.0;
    let (store, place) = id.split_once('/')?;
    (store == STORE).then_some(place.split_once('/')?.1.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_found_however_the_stream_is_cut() {
        let stream = b"id: x-1\nevent: stock\ndata: {\"id\":\"x-1\",\"eventId\":\"BENCH/1/17\"}\n\n: still there\n\
            data: {\"eventId\":\"OTHER/1/3\"}\ndata: {\"eventId\":\"BENCH/1/18\"}\n";
        for piece in 1..stream.len() {
            let (mut reader, mut heard) = (Reader::default(), Vec::new());
            for bytes in stream.chunks(piece) {
                reader.take(bytes, &mut |sequence| heard.push(sequence));
            }
            assert_eq!(heard, [17, 18], "in pieces of {piece}");
        }
    }
}
