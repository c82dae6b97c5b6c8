//! What operators do is written down, before it is done.

use std::sync::Arc;

use access::Access;
use access::audit::AuditLog;
use axum::http::StatusCode;
use serde_json::Value;

use crate::support::{Keys, ask, but, doors, ours};

#[tokio::test]
async fn every_act_of_an_operator_and_nothing_else_is_written_down() {
    let (keys, folder) = (Keys::new(), tempfile::tempdir().unwrap());
    let path = folder.path().join("audit.jsonl");
    let audit = Some(Arc::new(AuditLog::open(&path).unwrap()));
    let doors = doors(&Access { audit, ..keys.access() }, None);
    let staff = ours(&but(&serde_json::json!({ "scope": "staff stock:read" })));
    let admin = ours(&but(&serde_json::json!({ "scope": "admin", "sub": "ops" })));

    assert_eq!(ask(&doors.main, "GET /read", Some(&staff)).await.status, StatusCode::OK);
    assert_eq!(ask(&doors.main, "POST /admin", Some(&staff)).await.status, StatusCode::FORBIDDEN);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "");

    let answer = ask(&doors.main, "POST /admin?why=test", Some(&admin)).await;
    assert_eq!(answer.status, StatusCode::OK);
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [before, behind] = lines.as_slice() else { panic!("{text}") };
    assert_eq!(before["act"], behind["act"]);
    assert_eq!(
        (&before["principal"], &before["target"]),
        (&"ops".into(), &"/admin?why=test".into())
    );
    assert_eq!((&before["status"], &behind["status"]), (&Value::Null, &200.into()));

    // Not a trace of it could be left, so it is not done.
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    let refused = ask(&doors.main, "POST /admin", Some(&admin)).await;
    assert_eq!(refused.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(ask(&doors.main, "GET /read", Some(&staff)).await.status, StatusCode::OK);
}
