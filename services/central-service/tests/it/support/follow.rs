//! A client of the stream.

use std::pin::Pin;

use axum::Router;
use axum::body::{Body, BodyDataStream};
use axum::http::Request;
use futures_core::Stream;
use serde_json::Value;
use tower::ServiceExt as _;

use super::SOON;

/// An event as an `EventSource` hands it on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Told {
    pub(crate) event: String,
    pub(crate) data: Value,
}

/// Follows a stream.
pub(crate) struct Follower {
    body: BodyDataStream,
    text: String,
    /// What `Last-Event-ID` would say.
    pub(crate) last_id: Option<String>,
    /// Comments so far.
    pub(crate) comments: usize,
}

/// Connects, with the last id that was seen.
pub(crate) async fn follow(router: &Router, query: &str, last_id: Option<&str>) -> Follower {
    let mut request = Request::get(format!("/api/stream{query}"));
    if let Some(id) = last_id {
        request = request.header("last-event-id", id);
    }
    let request = request.body(Body::empty()).expect("a request");
    let answer = router.clone().oneshot(request).await.expect("a router always answers");
    assert_eq!(answer.status().as_u16(), 200);
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let body = answer.into_body().into_data_stream();
    let last_id = last_id.map(ToOwned::to_owned);
    Follower { body, text: String::new(), last_id, comments: 0 }
}

impl Follower {
    /// The next event; `None` when the stream has ended.
    pub(crate) async fn next(&mut self) -> Option<Told> {
        loop {
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                if let Some(told) = self.take(&block) {
                    return Some(told);
                }
            }
            if !self.read().await {
                assert_eq!(self.text, "", "a block is whole");
                return None;
            }
        }
    }

    /// Events up to one of this kind, which is the last.
    pub(crate) async fn until(&mut self, event: &str) -> Vec<Told> {
        let mut told = Vec::new();
        loop {
            told.push(self.next().await.expect("the stream goes on"));
            if told.last().is_some_and(|told| told.event == event) {
                return told;
            }
        }
    }

    /// The next so many changes.
    pub(crate) async fn changes(&mut self, count: usize) -> Vec<Value> {
        let mut changes = Vec::new();
        while changes.len() < count {
            let told = self.next().await.expect("the stream goes on");
            assert_eq!(told.event, "stock", "{told:?}");
            assert_eq!(told.data["id"], self.last_id.clone().expect("a change has an id"));
            changes.push(told.data);
        }
        changes
    }

    /// Waits until there is an id to resume from.
    pub(crate) async fn id(&mut self) -> String {
        while self.last_id.is_none() {
            let (block, rest) = loop {
                match self.text.split_once("\n\n") {
                    Some((block, rest)) => break (block.to_owned(), rest.to_owned()),
                    None => assert!(self.read().await, "the stream goes on"),
                }
            };
            self.text = rest;
            assert_eq!(self.take(&block), None, "an id comes first");
        }
        self.last_id.clone().expect("it was waited for")
    }

    /// Waits for a comment.
    pub(crate) async fn comment(&mut self) {
        let before = self.comments;
        while self.comments == before {
            assert!(self.read().await, "the stream goes on");
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                assert_eq!(self.take(&block), None, "nothing happens");
            }
        }
    }

    fn take(&mut self, block: &str) -> Option<Told> {
        let (mut event, mut data) = (None, None);
        for line in block.lines() {
            match line.split_once(": ").expect("a field or a comment") {
                ("", _comment) => self.comments += 1,
                ("id", id) => self.last_id = Some(id.to_owned()),
                ("event", name) => event = Some(name.to_owned()),
                ("data", text) => data = Some(serde_json::from_str(text).expect("JSON")),
                other => panic!("no such field: {other:?}"),
            }
        }
        data.map(|data| Told { event: event.expect("every event has a name"), data })
    }

    async fn read(&mut self) -> bool {
        let next = std::future::poll_fn(|context| Pin::new(&mut self.body).poll_next(context));
        match tokio::time::timeout(SOON, next).await.expect("something comes soon") {
            None => false,
            Some(bytes) => {
                let bytes = bytes.expect("a stream does not break");
                self.text += std::str::from_utf8(&bytes).expect("UTF-8");
                true
            }
        }
    }
}
