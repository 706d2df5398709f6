//! Many event streams on one process: what each takes, and whether calls are still answered.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bench_kit::clock::pause;
use bench_kit::statistics::count;
use bench_kit::usage::Usage;
use serde_json::json;

use crate::call::{ANSWER_MAX, PATIENCE, TEXT, bearer, exchange, find, get, message, post};
use crate::load::{Load, Pattern};
use crate::plan::{Era, PACED, Plan};
use crate::results::Column;
use crate::systems::Running;

/// Calls before memory is read for the first time: what they leave is not the streams'.
const WARM_UP: u64 = 2_000;
/// Streams over which a call is made.
const ASKED: usize = 100;
/// How long memory gets to settle after the last stream was opened.
const SETTLE: Duration = Duration::from_secs(1);

/// A stream that is open, and where to post to.
struct Open {
    stream: TcpStream,
    path: String,
}

/// None if the server has no `GET /sse`.
///
/// # Errors
/// When it has, and does not do what it should.
pub(crate) fn streams(
    running: &Running,
    key: &str,
    plan: &Plan,
) -> anyhow::Result<Option<Vec<(Column, f64)>>> {
    let (address, process) = (running.address, running.process.id());
    let mut load = Load::open(running.call(Era::Legacy, key)?, PACED)?;
    load.run(Pattern::Steadily {
        within: PATIENCE,
        calls_max: WARM_UP,
    })?;
    let before = Usage::of(process)?.resident_mib;
    let mut streams = Vec::new();
    for _ in 0..plan.streams {
        match open(address, key).with_context(|| format!("stream {}", streams.len() + 1))? {
            Some(stream) => streams.push(stream),
            None => return Ok(None),
        }
    }
    pause(SETTLE);
    let each_kib = (Usage::of(process)?.resident_mib - before) * 1024.0 / count(streams.len());

    let window = load.run(Pattern::steadily(plan.window))?;
    let step = (streams.len() / ASKED).max(1);
    let (mut asked, mut answered) = (0, 0);
    for open in streams.iter_mut().step_by(step) {
        asked += 1;
        answered += usize::from(call_over(open, address, key)?);
    }
    Ok(Some(vec![
        (Column::Streams, count(streams.len())),
        (Column::StreamKib, each_kib),
        (Column::StreamsAnswered, count(answered) / count(asked)),
        (
            Column::StreamsPerSecond,
            count(window.took_us.len()) / window.seconds,
        ),
        (Column::StreamsP99Micros, window.took(99.0)?),
    ]))
}

/// None if there is no such route.
fn open(address: SocketAddr, key: &str) -> anyhow::Result<Option<Open>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let headers = format!("accept: text/event-stream\r\n{}", bearer(key));
    stream.write_all(&get(address, "/sse", &headers))?;
    let mut seen = Vec::new();
    read_until(&mut stream, &mut seen, b"\r\n\r\n")?;
    if seen.starts_with(b"HTTP/1.1 404") {
        return Ok(None);
    }
    ensure!(
        seen.starts_with(b"HTTP/1.1 200"),
        "GET /sse answers: {}",
        String::from_utf8_lossy(&seen)
    );
    // The address comes first: `event: endpoint`, `data: /message?sessionId=…`, and an empty line.
    let data = b"data:";
    let at = read_until(&mut stream, &mut seen, data)? + data.len();
    let mut rest = seen.split_off(at);
    let end = read_until(&mut stream, &mut rest, b"\n")?;
    let path = std::str::from_utf8(&rest[..end])?.trim().to_owned();
    Ok(Some(Open { stream, path }))
}

/// Introduces a client, and calls the tool; whether the answer comes on the stream.
fn call_over(open: &mut Open, address: SocketAddr, key: &str) -> anyhow::Result<bool> {
    let initialize = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2024-11-05", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"},
    }});
    let (call, mut seen) = (message(Era::Legacy), Vec::new());
    for (message, answer) in [(initialize, "protocolVersion"), (call, TEXT)] {
        let request = post(address, &open.path, &bearer(key), &message);
        let (status, body) = exchange(address, &request)?;
        ensure!(
            status == 202,
            "POST {} answers {status}: {}",
            open.path,
            String::from_utf8_lossy(&body)
        );
        if read_until(&mut open.stream, &mut seen, answer.as_bytes()).is_err() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Reads on until `what` has come, and says where it begins.
fn read_until(stream: &mut TcpStream, seen: &mut Vec<u8>, what: &[u8]) -> anyhow::Result<usize> {
    let mut part = [0; 4096];
    loop {
        if let Some(at) = find(seen, what) {
            return Ok(at);
        }
        ensure!(seen.len() < ANSWER_MAX, "the answer is too large");
        match stream.read(&mut part)? {
            0 => bail!("the stream was closed: {}", String::from_utf8_lossy(seen)),
            read => seen.extend_from_slice(&part[..read]),
        }
    }
}
