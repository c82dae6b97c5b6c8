//! The bare HTTP route over PostgreSQL: Onhand's request and answer, a connection pool, one statement.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use axum::extract::{Path as Place, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::OffsetDateTime;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio_postgres::NoTls;
use tokio_postgres::error::SqlState;
use uuid::Uuid;

const RESERVE: &str = "
    WITH taken AS (
        UPDATE stock SET reserved = reserved + $4
        WHERE sku = $3 AND on_hand - reserved >= $4
        RETURNING sku
    )
    INSERT INTO reservation (idempotency_key, order_id, sku, quantity)
    SELECT $1, $2, sku, $4 FROM taken
    RETURNING idempotency_key, order_id, sku, quantity, created_at";
const RESERVED: &str = "
    SELECT idempotency_key, order_id, sku, quantity, created_at
    FROM reservation WHERE idempotency_key = $1";
const READ: &str = "SELECT on_hand, reserved FROM stock WHERE sku = $1";

/// Serve the bare HTTP route.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder of PostgreSQL's socket.
    #[arg(long)]
    postgres: PathBuf,
    /// Connections of the pool.
    #[arg(long)]
    pool: usize,
}

/// Settings of a connection to the database.
pub fn database(socket: &Path) -> tokio_postgres::Config {
    let mut config = tokio_postgres::Config::new();
    config.host_path(socket).user("postgres").dbname("rivals");
    config
}

/// Serves on a free port, which it prints, until its input ends: with whoever started it, however that ends.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let manager = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = Manager::from_config(database(&args.postgres), NoTls, manager);
    let pool = Pool::builder(manager).max_size(args.pool).runtime(Runtime::Tokio1).build()?;
    drop(pool.get().await.context("connect to PostgreSQL")?);
    let router = Router::new()
        .route("/reservations", post(reserve))
        .route("/stock/{sku}", get(read))
        .with_state(pool);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
        // An answer is one write, and is not to wait for another.
        stream.set_nodelay(true).ok();
    });
    let over = async {
        let mut nothing = Vec::new();
        tokio::io::stdin().read_to_end(&mut nothing).await.ok();
    };
    tokio::select! {
        served = axum::serve(listener, router) => served.context("serve"),
        () = over => Ok(()),
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wanted {
    order_id: String,
    lines: [Line; 1],
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Line {
    sku: String,
    quantity: i64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Reservation {
    reservation_id: String,
    order_id: String,
    state: &'static str,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    lines: [Kept; 1],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Kept {
    line: u32,
    sku: String,
    quantity: i64,
    kept: i64,
    fulfilled: i64,
    missing: i64,
}

/// A failure of the database, which its log explains.
struct Failed(String);

impl<E: std::fmt::Display> From<E> for Failed {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, self.0).into_response()
    }
}

async fn reserve(
    State(pool): State<Pool>,
    headers: HeaderMap,
    Json(wanted): Json<Wanted>,
) -> Result<Response, Failed> {
    let Wanted { order_id, lines: [Line { sku, quantity }] } = wanted;
    let named = headers.get("idempotency-key").and_then(|key| key.to_str().ok());
    let key = named.map_or_else(|| Uuid::now_v7().simple().to_string(), ToOwned::to_owned);
    let client = pool.get().await?;
    let statement = client.prepare_cached(RESERVE).await?;
    let reserved = client.query_opt(&statement, &[&key, &order_id, &sku, &quantity]).await;
    let row = match reserved {
        // Its units stay where they were: the whole statement was undone.
        Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => {
            let statement = client.prepare_cached(RESERVED).await?;
            Some(client.query_one(&statement, &[&key]).await?)
        }
        reserved => reserved?,
    };
    let Some(row) = row else {
        let problem = json!({"code": "reservation_rejected", "status": 409});
        return Ok((StatusCode::CONFLICT, Json(problem)).into_response());
    };
    let quantity = row.get(3);
    let line =
        Kept { line: 1, sku: row.get(2), quantity, kept: quantity, fulfilled: 0, missing: 0 };
    let reservation = Reservation {
        reservation_id: row.get(0),
        order_id: row.get(1),
        state: "confirmed",
        created_at: row.get(4),
        lines: [line],
    };
    let location = [(header::LOCATION, format!("/reservations/{}", reservation.reservation_id))];
    Ok((StatusCode::CREATED, location, Json(reservation)).into_response())
}

async fn read(State(pool): State<Pool>, Place(sku): Place<String>) -> Result<Response, Failed> {
    let client = pool.get().await?;
    let statement = client.prepare_cached(READ).await?;
    let Some(row) = client.query_opt(&statement, &[&sku]).await? else {
        return Ok(StatusCode::NOT_FOUND.into_response());
    };
    let (on_hand, reserved): (i64, i64) = (row.get(0), row.get(1));
    let item = json!({"sku": sku, "onHand": on_hand, "reserved": reserved, "available": on_hand - reserved});
    Ok(Json(item).into_response())
}
