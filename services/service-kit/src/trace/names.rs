//! Names of spans and attributes: OpenTelemetry's semantic conventions where they have one (HTTP stable,
//! messaging and databases 1.42, resource attributes), `onhand.` otherwise. Conventions for messaging
//! still change; this is the only file that then does.

/// Attributes.
pub mod attribute {
    /// HTTP method, or `_OTHER`.
    pub const METHOD: &str = "http.request.method";
    /// Template of the path.
    pub const ROUTE: &str = "http.route";
    /// HTTP status.
    pub const STATUS: &str = "http.response.status_code";
    /// The path asked for.
    pub const PATH: &str = "url.path";
    /// `http`.
    pub const SCHEME: &str = "url.scheme";
    /// Kind of failure: an HTTP status of 500 or more, or one of those below.
    pub const ERROR: &str = "error.type";
    /// `kafka`.
    pub const MESSAGING_SYSTEM: &str = "messaging.system";
    /// `send` or `process`.
    pub const OPERATION: &str = "messaging.operation.name";
    /// The same, in the convention's own words.
    pub const OPERATION_TYPE: &str = "messaging.operation.type";
    /// Topic.
    pub const DESTINATION: &str = "messaging.destination.name";
    /// Event id or command id.
    pub const MESSAGE: &str = "messaging.message.id";
    /// Records of one request to the broker.
    pub const MESSAGES: &str = "messaging.batch.message_count";
    /// `sqlite`.
    pub const DATABASE_SYSTEM: &str = "db.system.name";
    /// Commands or events of one transaction.
    pub const BATCH: &str = "db.operation.batch.size";
    /// Version of the program.
    pub const VERSION: &str = "service.version";
    /// Which of several services of one name.
    pub const INSTANCE: &str = "service.instance.id";
    /// The store that a process serves.
    pub const STORE: &str = "onhand.store.id";
    /// The centre that a process serves.
    pub const CENTRE: &str = "onhand.centre.id";
}

/// Transactions, each the name of a span.
pub mod transaction {
    /// The store decides commands and writes them to its journal.
    pub const JOURNAL: &str = "commit journal";
    /// The centre applies events to its view and its ledger.
    pub const VIEW: &str = "commit view";
    /// The centre writes what callers asked of its ledger.
    pub const LEDGER: &str = "commit ledger";
}

/// A transaction that was not committed; the log has the cause.
pub const COMMIT_FAILED: &str = "commit_failed";
/// Records that are not known to be published; the log has the cause.
pub const PUBLISH_FAILED: &str = "publish_failed";

/// A record being handled: `process inventory.stock-events.v1`.
pub const PROCESS: &str = "process";
/// Records being published: `send inventory.stock-events.v1`.
pub const SEND: &str = "send";
/// Services, unless `OTEL_SERVICE_NAME` says otherwise.
pub mod service {
    /// `onhand store`.
    pub const STORE: &str = "onhand-store";
    /// `onhand central`.
    pub const CENTRAL: &str = "onhand-central";
    /// `onhand dev`: stores and centre in one process.
    pub const DEV: &str = "onhand-dev";
}
