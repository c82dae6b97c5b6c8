//! Answers that named requests got, kept so that a repeat gets the same one.
//!
//! For requests of operators: rare, and harmless when they are done twice. An answer is on disk before it
//! is given, in a file of its own; whoever dies between the act and its record does the act once more when
//! it is asked for again. What must not be done twice keeps its names where its effects are written.

use std::path::Path;
use std::sync::{Arc, Mutex as BlockingMutex, PoisonError};

use rusqlite::{Connection, OptionalExtension as _, params};
use tokio::sync::Mutex;

use crate::fingerprint::Fingerprint;
use crate::sqlite::{self, Durability, Schema};
use crate::{ErrorCode, Problem, clock};

const SCHEMA: Schema =
    Schema { application_id: 0x4f6e_6833, layouts: &[include_str!("answers.sql")] };
/// The file in a service's folder.
const DATABASE: &str = "answers.db";
/// How long an answer is kept, in milliseconds: 30 days.
const REMEMBERED_MS: i64 = 30 * 86_400_000;
/// Most answers that are kept: far more than people ask for in that time.
const MAX_ANSWERS: i64 = 10_000;

/// What a caller named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The caller and its key.
    pub name: String,
    /// What is asked.
    pub fingerprint: Fingerprint,
}

/// An answer, as it is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// HTTP status.
    pub status: u16,
    /// `Location`, where it has one.
    pub location: Option<String>,
    /// JSON.
    pub body: String,
}

/// The recorded answers of a service.
#[derive(Debug)]
pub struct Answers {
    connection: Arc<BlockingMutex<Connection>>,
    /// One named request at a time: a repeat in flight waits for the first.
    turn: Mutex<()>,
}

impl Answers {
    /// Opens them in a service's folder, which it has locked. A broken file is put aside, and the answers
    /// in it are forgotten: no store stops selling for them.
    ///
    /// # Errors
    /// [`sqlite::Error`].
    pub fn open(folder: &Path) -> Result<Self, sqlite::Error> {
        let path = folder.join(DATABASE);
        let open = || sqlite::open(&path, SCHEMA, Durability::EveryCommit);
        let connection = match open() {
            Err(sqlite::Error::Sqlite { source, .. }) if is_broken(&source) => {
                tracing::warn!(error = %source, path = %path.display(),
                    "the recorded answers are broken and begin anew; the file is put aside");
                put_aside(&path).map_err(|error| {
                    let source = rusqlite::Error::ToSqlConversionFailure(Box::new(error));
                    sqlite::Error::Sqlite { path: path.clone(), source }
                })?;
                open()?
            }
            opened => opened?,
        };
        Ok(Self { connection: Arc::new(BlockingMutex::new(connection)), turn: Mutex::new(()) })
    }

    /// The answer that was recorded, with `true`; or the one that `act` gives, once it is recorded. A problem
    /// is no answer: nothing was done, and it may be asked again.
    ///
    /// # Errors
    /// The problem of `act`; [`ErrorCode::CommandIdReused`] when something else was asked under the name.
    pub async fn once(
        &self,
        named: Named,
        act: impl Future<Output = Result<Recorded, Problem>>,
    ) -> Result<(Recorded, bool), Problem> {
        let _turn = self.turn.lock().await;
        let name = named.name.clone();
        let known = self.work(move |connection| find(connection, &name)).await?;
        if let Some((fingerprint, answer)) = known {
            if fingerprint != named.fingerprint {
                let detail = "this idempotency key was used before for something else";
                return Err(Problem::new(ErrorCode::CommandIdReused, detail));
            }
            return Ok((answer, true));
        }
        let answer = act.await?;
        let kept = answer.clone();
        let now = clock::unix_millis();
        self.work(move |connection| record(connection, &named, &kept, now)).await?;
        Ok((answer, false))
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Problem> {
        let connection = Arc::clone(&self.connection);
        let work = move || work(&mut connection.lock().unwrap_or_else(PoisonError::into_inner));
        let done = tokio::task::spawn_blocking(work).await;
        let done = done.map_err(|error| Problem::new(ErrorCode::Internal, error.to_string()))?;
        done.map_err(|error| {
            tracing::error!(%error, "the recorded answers cannot be used");
            let full = sqlite::is_full(&error);
            let code = if full { ErrorCode::StorageFull } else { ErrorCode::Internal };
            Problem::new(
                code,
                "the answer cannot be recorded; it is safe to ask for the same again",
            )
        })
    }
}

fn is_broken(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
}

/// With what belongs to it: a log must not be taken for the new file's.
fn put_aside(path: &Path) -> std::io::Result<()> {
    let with = |end: String| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        name
    };
    for end in ["", "-wal", "-shm"] {
        match std::fs::rename(with(end.to_owned()), with(format!(".broken{end}"))) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn find(connection: &Connection, name: &str) -> rusqlite::Result<Option<(Fingerprint, Recorded)>> {
    connection
        .prepare_cached("SELECT fingerprint, status, location, body FROM answers WHERE name = ?1")?
        .query_row([name], |row| {
            let (status, location, body) = (row.get(1)?, row.get(2)?, row.get(3)?);
            Ok((row.get(0)?, Recorded { status, location, body }))
        })
        .optional()
}

fn record(
    connection: &mut Connection,
    named: &Named,
    answer: &Recorded,
    now: i64,
) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    let Recorded { status, location, body } = answer;
    transaction.execute(
        "INSERT INTO answers (name, fingerprint, status, location, body, answered_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![named.name, named.fingerprint, status, location, body, now],
    )?;
    transaction.execute(
        "DELETE FROM answers WHERE answered_at < ?1
            OR id <= (SELECT max(id) FROM answers) - ?2",
        [now.saturating_sub(REMEMBERED_MS), MAX_ANSWERS],
    )?;
    transaction.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Named {
        Named { name: name.to_owned(), fingerprint: [1; 16] }
    }

    fn answer(body: &str) -> Recorded {
        Recorded { status: 202, location: Some("/there".to_owned()), body: body.to_owned() }
    }

    #[tokio::test]
    async fn a_repeat_gets_the_recorded_answer_and_nothing_is_done_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let answers = Answers::open(folder.path()).unwrap();
        let first = answers.once(named("a"), async { Ok(answer("1")) }).await.unwrap();
        assert_eq!(first, (answer("1"), false));
        drop(answers);
        let answers = Answers::open(folder.path()).unwrap();
        let again = answers.once(named("a"), async { panic!("done twice") }).await.unwrap();
        assert_eq!(again, (answer("1"), true));
        let other = Named { fingerprint: [2; 16], ..named("a") };
        let other = answers.once(other, async { panic!("done") }).await.unwrap_err();
        assert_eq!(other.code(), ErrorCode::CommandIdReused);
    }

    #[tokio::test]
    async fn a_broken_file_is_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(DATABASE);
        std::fs::write(&path, [7; 4096]).unwrap();
        let answers = Answers::open(folder.path()).unwrap();
        let first = answers.once(named("a"), async { Ok(answer("1")) }).await.unwrap();
        assert_eq!(first, (answer("1"), false));
        assert_eq!(std::fs::read(folder.path().join("answers.db.broken")).unwrap(), [7; 4096]);
    }

    #[tokio::test]
    async fn a_problem_is_not_recorded() {
        let folder = tempfile::tempdir().unwrap();
        let answers = Answers::open(folder.path()).unwrap();
        let refused = Problem::new(ErrorCode::Overloaded, "later");
        answers.once(named("a"), async { Err(refused) }).await.unwrap_err();
        let done = answers.once(named("a"), async { Ok(answer("1")) }).await.unwrap();
        assert_eq!(done, (answer("1"), false));
    }

    #[tokio::test]
    async fn a_repeat_in_flight_waits_for_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let answers = Answers::open(folder.path()).unwrap();
        let (done, wait) = tokio::sync::oneshot::channel();
        let first = answers.once(named("a"), async { Ok(wait.await.unwrap()) });
        let second = answers.once(named("a"), async { panic!("done twice") });
        let release = async { done.send(answer("1")).unwrap() };
        let (first, second, ()) = tokio::join!(first, second, release);
        assert_eq!(first.unwrap(), (answer("1"), false));
        assert_eq!(second.unwrap(), (answer("1"), true));
    }

    #[test]
    fn answers_run_out_with_time_and_by_number() {
        let folder = tempfile::tempdir().unwrap();
        let answers = Answers::open(folder.path()).unwrap();
        let mut connection = answers.connection.lock().unwrap();
        let mut record = |name: &str, at| {
            record(&mut connection, &named(name), &answer("1"), at).unwrap();
        };
        record("old", 0);
        record("young", REMEMBERED_MS);
        record("new", REMEMBERED_MS + 1);
        let known = |name: &str| find(&connection, name).unwrap().is_some();
        assert_eq!((known("old"), known("young"), known("new")), (false, true, true));
        connection
            .execute("UPDATE answers SET id = id + ?1 - 1 WHERE name = 'new'", [MAX_ANSWERS])
            .unwrap();
        super::record(&mut connection, &named("newest"), &answer("1"), REMEMBERED_MS + 1).unwrap();
        let known = |name: &str| find(&connection, name).unwrap().is_some();
        assert_eq!((known("young"), known("new"), known("newest")), (false, true, true));
    }
}
