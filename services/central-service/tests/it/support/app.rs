//! A centre that runs as it does in production, with all its threads.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use central_service::read_model::ReadModel;
use central_service::{App, Config};
use event_log::EventLog;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A running centre; stop it, or its threads outlive the test.
pub(crate) struct Running {
    pub(crate) router: Router,
    pub(crate) model: Arc<ReadModel>,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    stop: CancellationToken,
    served: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    pub(crate) async fn start(config: Config, log: &Arc<dyn EventLog>) -> Self {
        let app = App::build(config, Arc::clone(log)).expect("the folder is free");
        let (router, model) = (app.router(), app.model());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let stop = CancellationToken::new();
        let served = tokio::spawn(app.run(listener, stop.clone()));
        Self { router, model, address, stop, served }
    }

    /// Stops it and waits until all its threads have ended.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.served.await.expect("no panic").expect("a clean end");
    }
}
