//! What operators did, in a file of its own: a line before each act and a line behind it.
//!
//! Stock tells by its events who changed it. Policies, comparisons and switches leave no such event at
//! their service, so they are written down here: durably before they are done, so that none is done
//! without a trace.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use service_kit::extract::MAX_BODY_BYTES;
use service_kit::{ErrorCode, Problem, clock, trace};
use shared_events::{Subject, Timestamp};
use tracing::error;

/// Most bytes of a body that are kept: what operators send is small.
const BODY_BYTES_MAX: usize = 4 * 1024;

/// The file. It is opened for each line: acts are rare, and whoever moves it away needs to tell nobody.
#[derive(Debug)]
pub struct AuditLog {
    path: PathBuf,
    acts: AtomicU64,
}

/// One act, as its request describes it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Act {
    /// Pairs the two lines: when it was asked for, and the how manieth since the start.
    act: String,
    /// Who asked; absent where nobody has to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<String>,
    method: String,
    /// Path and query.
    target: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
}

/// What a request says of an act.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Who asked.
    pub principal: Option<&'a str>,
    /// HTTP method.
    pub method: &'a str,
    /// Path and query.
    pub target: &'a str,
    /// The trace that it is part of.
    pub trace_id: Option<&'a str>,
    /// The body, of which the beginning is kept.
    pub body: &'a [u8],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    at: String,
    #[serde(flatten)]
    act: &'a Act,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
}

impl AuditLog {
    /// A log in a file, made when new, for its owner only.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn open(path: &Path) -> io::Result<Self> {
        let log = Self { path: path.to_owned(), acts: AtomicU64::new(0) };
        log.file().map(|_file| log)
    }

    /// Writes down that something is about to be done. Blocks until the line is on disk.
    ///
    /// # Errors
    /// When it is not: then it must not be done.
    pub fn asked(&self, asked: &Asked<'_>) -> io::Result<Act> {
        let number = self.acts.fetch_add(1, Ordering::Relaxed);
        let act = Act {
            act: format!("{}-{number}", clock::unix_millis()),
            principal: asked.principal.map(str::to_owned),
            method: asked.method.to_owned(),
            target: asked.target.to_owned(),
            trace_id: asked.trace_id.map(str::to_owned),
        };
        let kept = asked.body.get(..BODY_BYTES_MAX).unwrap_or(asked.body);
        let body = String::from_utf8_lossy(kept).into_owned();
        self.write(&act, Some(body).filter(|body| !body.is_empty()), None)?;
        Ok(act)
    }

    /// Writes down what came of it, by its HTTP status.
    ///
    /// # Errors
    /// When the line cannot be written; the first one stands.
    pub fn answered(&self, act: &Act, status: u16) -> io::Result<()> {
        self.write(act, None, Some(status))
    }

    fn write(&self, act: &Act, body: Option<String>, status: Option<u16>) -> io::Result<()> {
        let at = Timestamp::from_unix_millis(clock::unix_millis());
        let at = at.map(|at| at.to_string()).unwrap_or_default();
        let mut line = serde_json::to_vec(&Line { at, act, body, status })?;
        line.push(b'\n');
        let mut file = self.file()?;
        // One write: lines of two requests do not mix.
        file.write_all(&line)?;
        file.sync_data()
    }

    fn file(&self) -> io::Result<File> {
        OpenOptions::new().create(true).append(true).mode(0o600).open(&self.path)
    }
}

/// One act that is written down.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) log: Arc<AuditLog>,
    pub(crate) principal: Option<Subject>,
}

impl Watch {
    /// Lets a request do what it asks for, between its two lines.
    pub(crate) async fn watch(self, request: Request, next: Next) -> Response {
        let (parts, body) = request.into_parts();
        let Ok(body) = to_bytes(body, MAX_BODY_BYTES).await else {
            let detail = format!("a body has at most {MAX_BODY_BYTES} bytes, and comes whole");
            return Problem::new(ErrorCode::BodyTooLarge, detail).into_response();
        };
        let (log, principal) = (Arc::clone(&self.log), self.principal);
        let (method, target) = (parts.method.to_string(), parts.uri.to_string());
        let (trace_id, kept) = (trace::id(trace::traceparent().as_deref()), body.clone());
        let trace_id = trace_id.map(|id| id.to_string());
        let line = tokio::task::spawn_blocking(move || {
            log.asked(&Asked {
                principal: principal.as_ref().map(Subject::as_str),
                method: &method,
                target: &target,
                trace_id: trace_id.as_deref(),
                body: &kept,
            })
        });
        let act = match line.await {
            Ok(Ok(act)) => act,
            Ok(Err(error)) => return unwritten(&error),
            Err(error) => {
                return Problem::new(ErrorCode::Internal, error.to_string()).into_response();
            }
        };
        let response = next.run(Request::from_parts(parts, Body::from(body))).await;
        let (log, status) = (self.log, response.status().as_u16());
        let line = tokio::task::spawn_blocking(move || log.answered(&act, status)).await;
        if !matches!(line, Ok(Ok(()))) {
            error!(
                status,
                "the audit log lacks the outcome of an act that it has the beginning of"
            );
        }
        response
    }
}

fn unwritten(error: &io::Error) -> Response {
    error!(%error, "the audit log cannot be written; nothing was done");
    let code = if error.kind() == io::ErrorKind::StorageFull {
        ErrorCode::StorageFull
    } else {
        ErrorCode::Internal
    };
    Problem::new(code, "the audit log cannot be written; nothing was done").into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_act_is_on_disk_before_it_is_done_and_its_outcome_behind_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let log = AuditLog::open(&path).unwrap();
        let asked = Asked {
            principal: Some("ops"),
            method: "PUT",
            target: "/api/stores/A/selling",
            trace_id: None,
            body: b"{\"selling\":false}",
        };
        let act = log.asked(&asked).unwrap();
        let lines = || {
            let text = std::fs::read_to_string(&path).unwrap();
            text.lines()
                .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
                .collect::<Vec<_>>()
        };
        let [before] = lines().try_into().unwrap();
        assert_eq!((&before["principal"], &before["method"]), (&"ops".into(), &"PUT".into()));
        assert_eq!(before["body"], "{\"selling\":false}");
        assert!(before["status"].is_null());
        // Somebody keeps the old lines elsewhere meanwhile.
        std::fs::rename(&path, folder.path().join("audit.1")).unwrap();
        log.answered(&act, 200).unwrap();
        let [behind] = lines().try_into().unwrap();
        assert_eq!((&behind["act"], &behind["status"]), (&before["act"], &200.into()));
    }

    #[test]
    fn what_cannot_be_written_down_is_said() {
        let folder = tempfile::tempdir().unwrap();
        assert!(AuditLog::open(&folder.path().join("none/audit.jsonl")).is_err());
        let path = folder.path().join("audit.jsonl");
        let log = AuditLog::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        let asked =
            Asked { principal: None, method: "POST", target: "/", trace_id: None, body: b"" };
        assert!(log.asked(&asked).is_err());
    }
}
