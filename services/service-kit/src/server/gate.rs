//! In front of the router: what a request may be, and whether there is room for it.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::{Version, request};
use axum::response::{IntoResponse, Response};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use tower::ServiceExt as _;

use super::beneath;
use super::connections::Connection;
use super::counts::Reason;
use super::limits::{MAX_HEADER_BYTES, MAX_URL_BYTES};
use super::load::{Class, Load, Permit, body_bytes};
use super::{ClientIdentity, Peer, counts::Counts};
use crate::problem::{ErrorCode, Problem};

/// One connection's way to the router.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) router: Router,
    pub(super) load: Arc<Load>,
    pub(super) counts: Counts,
    pub(super) connection: Arc<Connection>,
    pub(super) peer: Peer,
    pub(super) identity: Option<ClientIdentity>,
    /// Whether clients must show a certificate.
    pub(super) certificates: bool,
}

impl Gate {
    pub(super) async fn serve(
        self: Arc<Self>,
        request: hyper::Request<Incoming>,
    ) -> Result<Response, Infallible> {
        self.connection.began(request.version() >= Version::HTTP_2);
        let answering = Answering(Arc::clone(&self.connection));
        let (mut head, body) = request.into_parts();
        let response = match self.admit(&head, body.is_end_stream()) {
            Err(reason) => {
                self.counts.refused(reason);
                refusal(reason).into_response()
            }
            Ok(permit) => {
                head.extensions.insert(self.peer);
                head.extensions.insert(self.counts.clone());
                if let Some(identity) = &self.identity {
                    head.extensions.insert(identity.clone());
                }
                let body = Arriving::body(body, &self.connection);
                let request = Request::from_parts(head, body);
                let Ok(response) = self.router.clone().oneshot(request).await;
                drop(permit);
                response
            }
        };
        Ok(response.map(|body| Body::new(Leaving { body, _answering: answering })))
    }

    fn admit(&self, head: &request::Parts, empty: bool) -> Result<Permit, Reason> {
        // A probe is one wherever its service is.
        let path = beneath::own(head.uri.path());
        let class = Class::of(&head.method, path);
        let url = head.uri.path_and_query().map_or(0, |url| url.as_str().len());
        if url > MAX_URL_BYTES {
            return Err(Reason::Url);
        }
        let headers = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len());
        if headers.sum::<usize>() > MAX_HEADER_BYTES {
            return Err(Reason::Headers);
        }
        let health = matches!(path, "/livez" | "/readyz");
        if self.certificates && self.identity.is_none() && !health {
            return Err(Reason::Certificate);
        }
        self.load.admit(class, body_bytes(&head.headers, empty))
    }
}

fn refusal(reason: Reason) -> Problem {
    match reason {
        Reason::Bodies => Problem::new(
            ErrorCode::Overloaded,
            "more bodies are being received than will be kept; nothing was done",
        ),
        Reason::Certificate => Problem::new(
            ErrorCode::CertificateRequired,
            "this service asks its clients for a certificate",
        ),
        Reason::Headers => Problem::new(
            ErrorCode::HeadersTooLarge,
            format!("headers have at most {MAX_HEADER_BYTES} bytes together"),
        ),
        // These two are judged behind the guard, which knows who asks.
        Reason::Quota => Problem::new(
            ErrorCode::QuotaExceeded,
            "too many reservations are open; nothing was done",
        ),
        Reason::Rate => Problem::new(ErrorCode::RateLimited, "too many requests; nothing was done"),
        Reason::Read => Problem::new(
            ErrorCode::Overloaded,
            "queries wait while there is too much to do; nothing was done",
        ),
        Reason::Requests => {
            Problem::new(ErrorCode::Overloaded, "too much is being served; nothing was done")
        }
        Reason::Url => {
            Problem::new(ErrorCode::UrlTooLong, format!("a URL has at most {MAX_URL_BYTES} bytes"))
        }
    }
}

/// An answer that is not complete yet.
#[derive(Debug)]
struct Answering(Arc<Connection>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.ended();
    }
}

/// A body on its way in.
struct Arriving {
    body: Incoming,
    /// There until all of it has come.
    receiving: Option<Receiving>,
}

struct Receiving(Arc<Connection>);

impl Drop for Receiving {
    fn drop(&mut self) {
        self.0.receiving(false);
    }
}

impl Arriving {
    fn body(body: Incoming, connection: &Arc<Connection>) -> Body {
        if body.is_end_stream() {
            return Body::empty();
        }
        connection.receiving(true);
        Body::new(Self { body, receiving: Some(Receiving(Arc::clone(connection))) })
    }
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if matches!(frame, Poll::Ready(None | Some(Err(_)))) || self.body.is_end_stream() {
            self.receiving = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A body on its way out.
struct Leaving {
    body: Body,
    _answering: Answering,
}

impl HttpBody for Leaving {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
