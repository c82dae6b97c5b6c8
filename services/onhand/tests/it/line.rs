//! A line between a service and its broker that can be slowed, held and cut, each direction alone.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What a direction does with bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    Pass,
    /// So many bytes a second.
    Slow(u32),
    /// Nothing passes and nothing is said, as when every packet is dropped. TCP sends again: what was
    /// held arrives late, if the connection still stands by then.
    Hold,
}

/// A direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    ToBroker,
    FromBroker,
}

/// A TCP proxy in front of one port of the broker.
pub(crate) struct Line {
    /// What its service is told to connect to.
    pub(crate) address: String,
    to_broker: Arc<watch::Sender<Flow>>,
    from_broker: Arc<watch::Sender<Flow>>,
    /// Connections of an earlier number are cut.
    life: Arc<watch::Sender<u64>>,
    accepting: JoinHandle<()>,
}

impl Line {
    /// Listens on one port and connects to another.
    pub(crate) async fn open(front: u16, behind: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", front)).await.unwrap();
        let to_broker = Arc::new(watch::Sender::new(Flow::Pass));
        let from_broker = Arc::new(watch::Sender::new(Flow::Pass));
        let life = Arc::new(watch::Sender::new(0));
        let accepting = tokio::spawn({
            let (up, down) = (Arc::clone(&to_broker), Arc::clone(&from_broker));
            let life = Arc::clone(&life);
            async move {
                while let Ok((near, _)) = listener.accept().await {
                    let (up, down) = (up.subscribe(), down.subscribe());
                    tokio::spawn(connection(near, behind, up, down, life.subscribe()));
                }
            }
        });
        let address = format!("127.0.0.1:{front}");
        Self { address, to_broker, from_broker, life, accepting }
    }

    /// Both directions.
    pub(crate) fn both(&self, flow: Flow) {
        self.set(Way::ToBroker, flow);
        self.set(Way::FromBroker, flow);
    }

    /// One direction.
    pub(crate) fn set(&self, way: Way, flow: Flow) {
        match way {
            Way::ToBroker => self.to_broker.send_replace(flow),
            Way::FromBroker => self.from_broker.send_replace(flow),
        };
    }

    /// Cuts every connection with a reset; what was on its way is lost.
    pub(crate) fn reset(&self) {
        self.life.send_modify(|life| *life += 1);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.accepting.abort();
        self.reset();
    }
}

async fn connection(
    mut near: TcpStream,
    behind: u16,
    mut up: watch::Receiver<Flow>,
    mut down: watch::Receiver<Flow>,
    mut life: watch::Receiver<u64>,
) {
    // A broker that is away refuses, and so does the line.
    let Ok(mut far) = TcpStream::connect(("127.0.0.1", behind)).await else {
        return near.set_zero_linger().unwrap_or_default();
    };
    for stream in [&near, &far] {
        stream.set_nodelay(true).unwrap_or_default();
    }
    let cut = {
        let (from_near, to_near) = near.split();
        let (from_far, to_far) = far.split();
        let passing = async {
            tokio::join!(pass(from_near, to_far, &mut up), pass(from_far, to_near, &mut down));
        };
        tokio::select! {
            () = passing => false,
            _cut = life.changed() => true,
        }
    };
    if cut {
        for stream in [&near, &far] {
            stream.set_zero_linger().unwrap_or_default();
        }
    }
}

/// Moves bytes one way until their source ends, and then ends the other side.
async fn pass(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, flow: &mut watch::Receiver<Flow>) {
    let mut buffer = [0; 16 * 1024];
    loop {
        let count = from.read(&mut buffer).await.unwrap_or_default();
        // Also what was read just before the line was held, and its end.
        let passes = flow.wait_for(|flow| *flow != Flow::Hold).await.map(|flow| *flow);
        let Ok(flow) = passes else {
            return;
        };
        if count == 0 || to.write_all(&buffer[..count]).await.is_err() {
            return to.shutdown().await.unwrap_or_default();
        }
        if let Flow::Slow(bytes_per_second) = flow {
            let bytes = Duration::from_secs(u64::try_from(count).unwrap());
            tokio::time::sleep(bytes / bytes_per_second).await;
        }
    }
}
