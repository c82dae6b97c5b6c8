//! HTTP/2 frames that cost the sender less than the service.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{CLOSED_WITHIN, Target, served_meanwhile};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// Frames of a flood: far more than any of them needs.
const FRAMES: u32 = 200_000;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A request as HPACK without a table.
fn request(method: u8, path: &str) -> Vec<u8> {
    let mut block = vec![method, 0x86, 0x04, u8::try_from(path.len()).unwrap()];
    block.extend(path.as_bytes());
    block.extend([0x01, 1, b'x']);
    block.extend([0x0f, 0x10, 16]);
    block.extend(b"application/json");
    block
}

const GET: u8 = 0x82;
const POST: u8 = 0x83;

async fn speak(target: &Target) -> TcpStream {
    let mut stream = target.connect().await;
    stream.write_all(PREFACE).await.unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    stream
}

/// Sends frames until there are no more or the service closes; says whether it did.
async fn flood(stream: TcpStream, mut next: impl FnMut(u32) -> Vec<u8>) -> bool {
    let (mut reader, mut writer) = stream.into_split();
    let mut read = tokio::spawn(async move {
        let mut told = Vec::new();
        reader.read_to_end(&mut told).await.unwrap_or_default();
    });
    for number in 0..FRAMES {
        if writer.write_all(&next(number)).await.is_err() {
            return true;
        }
    }
    tokio::time::timeout(CLOSED_WITHIN.min(Duration::from_secs(5)), &mut read).await.is_ok()
}

#[tokio::test]
async fn http_2_floods_are_cut_off_while_others_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let target = Target::start(folder.path(), &[]).await;
    let (before, peak) = (target.wait().await, target.peak_mib());

    let stream = speak(&target).await;
    let reset = tokio::spawn(flood(stream, |number| {
        let id = number * 2 + 1;
        let block = request(GET, "/api/query/inventory/store/A");
        let mut frames = frame(HEADERS, END_HEADERS | END_STREAM, id, &block);
        frames.extend(frame(RST_STREAM, 0, id, &8_u32.to_be_bytes()));
        frames
    }));
    served_meanwhile(before, target.wait().await);
    assert!(reset.await.unwrap(), "streams that are opened and reset have no end");

    let mut stream = speak(&target).await;
    stream.write_all(&frame(HEADERS, END_STREAM, 1, &request(GET, "/livez"))).await.unwrap();
    let more: Vec<u8> = [0, 1, b'a', 1, b'b'].repeat(2_000);
    let continued = tokio::spawn(flood(stream, move |_number| frame(CONTINUATION, 0, 1, &more)));
    served_meanwhile(before, target.wait().await);
    assert!(continued.await.unwrap(), "a head has no end");

    let mut stream = speak(&target).await;
    let block = request(POST, "/api/commands/inventory/adjust");
    stream.write_all(&frame(HEADERS, END_HEADERS, 1, &block)).await.unwrap();
    let empty = tokio::spawn(flood(stream, |_number| frame(DATA, 0, 1, &[])));
    served_meanwhile(before, target.wait().await);
    assert!(empty.await.unwrap(), "empty frames of a body have no end");

    // Settings and pings must be answered: who sends them and reads must not grow it.
    let stream = speak(&target).await;
    let pinged = tokio::spawn(flood(stream, |number| {
        if number % 2 == 0 { frame(PING, 0, 0, &[0; 8]) } else { frame(SETTINGS, 0, 0, &[]) }
    }));
    served_meanwhile(before, target.wait().await);
    pinged.await.unwrap();

    let grown = target.peak_mib() - peak;
    assert!(grown < 96, "it took {grown} MiB");
    target.sell().await;
}
