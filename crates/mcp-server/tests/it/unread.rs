//! Answers that nobody reads, bodies that nobody sends, and callers that are gone.

use mcp_testkit::eventually;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use crate::replica::{Replica, call};
use crate::server::PATIENCE;

/// A connection whose client takes little at once.
async fn connect(replica: &Replica) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    socket
        .connect(replica.address.parse().unwrap())
        .await
        .unwrap()
}

/// A POST with that body, of which so many bytes are announced.
fn post(path: &str, body: &str, length: usize) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    (head + body).into_bytes()
}

async fn send(stream: &mut TcpStream, path: &str, message: &Value) {
    let body = message.to_string();
    let request = post(path, &body, body.len());
    stream.write_all(&request).await.unwrap();
}

fn ping() -> Value {
    json!({"jsonrpc": "2.0", "id": 7, "method": "ping"})
}

async fn until_a_ping_is_answered(replica: &Replica, status: u16) {
    eventually(PATIENCE, async || {
        match replica.post("/mcp", &ping()).await.status {
            seen if seen == status => Ok(()),
            seen => Err(format!("a ping is answered {seen}")),
        }
    })
    .await;
}

/// A call whose answer is as long as that.
fn long(bytes: usize) -> Value {
    call("greet", json!({"name": "x".repeat(bytes)}))
}

/// More than the kernel keeps for a connection.
const LONG: usize = 3 * 1024 * 1024 + 512 * 1024;

#[tokio::test]
async fn an_answer_holds_its_place_and_its_room_until_it_is_read() {
    for bound in [
        ("MCP_MAX_IN_FLIGHT", "1"),
        ("MCP_MAX_BODY_BYTES_IN_FLIGHT", "4194304"),
    ] {
        let replica = Replica::start(&[bound]).await;
        let mut stream = connect(&replica).await;
        send(&mut stream, "/mcp", &long(LONG)).await;
        let mut first = [0; 12];
        stream.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
        let other = long(1024 * 1024);
        assert_eq!(replica.post("/mcp", &other).await.status, 503, "{bound:?}");
        let mut rest = Vec::new();
        eventually(PATIENCE, async || {
            stream.read_buf(&mut rest).await.unwrap();
            let is_whole = rest.len() > LONG;
            is_whole.then_some(()).ok_or(rest.len())
        })
        .await;
        until_a_ping_is_answered(&replica, 200).await;
        assert_eq!(replica.post("/mcp", &other).await.status, 200, "{bound:?}");
    }
}

#[tokio::test]
async fn a_reply_on_a_stream_of_2024_holds_its_place_until_it_is_read() {
    let replica = Replica::start(&[("MCP_MAX_IN_FLIGHT", "1")]).await;
    let mut stream = connect(&replica).await;
    let open = b"GET /sse HTTP/1.1\r\nhost: localhost\r\n\r\n";
    stream.write_all(open).await.unwrap();
    let mut text = Vec::new();
    let path = eventually(PATIENCE, async || {
        stream.read_buf(&mut text).await.unwrap();
        let text = String::from_utf8_lossy(&text);
        let address = text
            .split_once("data: ")
            .and_then(|(_, rest)| rest.split_once('\n'));
        address
            .map(|(path, _)| path.to_owned())
            .ok_or("no address yet")
    })
    .await;
    assert_eq!(replica.post(&path, &long(LONG)).await.status, 202);
    // The call has its answer at once, and still nobody reads it.
    let mut begun = [0; 1];
    stream.read_exact(&mut begun).await.unwrap();
    for _ in 0..10 {
        assert_eq!(replica.post(&path, &ping()).await.status, 503);
    }
    drop(stream);
    until_a_ping_is_answered(&replica, 200).await;
}

#[tokio::test]
async fn bodies_that_are_announced_and_do_not_come_keep_nobody_out() {
    let replica = Replica::start(&[("MCP_MAX_BODY_BYTES_IN_FLIGHT", "4194304")]).await;
    let mut waiting = Vec::new();
    for _ in 0..16 {
        let mut stream = connect(&replica).await;
        stream
            .write_all(&post("/mcp", "{", 4 * 1024 * 1024))
            .await
            .unwrap();
        waiting.push(stream);
    }
    for _ in 0..10 {
        assert_eq!(replica.post("/mcp", &long(1024 * 1024)).await.status, 200);
    }
}

#[tokio::test]
async fn a_meta_that_would_be_kept_for_a_call_is_small() {
    let replica = Replica::start(&[]).await;
    let mut call = call("greet", json!({"name": "Ann"}));
    call["params"]["_meta"] = json!({"x": vec![0; 100_000]});
    let refused = replica.post("/mcp", &call).await;
    assert_eq!(refused.status, 400, "{refused:?}");
    assert_eq!(refused.body["error"]["code"], -32602);
}

#[tokio::test]
async fn headers_are_bounded_and_large_bodies_are_not_theirs() {
    let replica = Replica::start(&[]).await;
    let mut stream = connect(&replica).await;
    let head = format!(
        "GET /health HTTP/1.1\r\nhost: localhost\r\nx: {}",
        "a".repeat(400_000)
    );
    // Some of it may be sent when the other side has closed already.
    let _ = stream.write_all(head.as_bytes()).await;
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
    // Told 431, or cut off while it still sent.
    let _ = ended.expect("the connection is closed");
    assert_eq!(replica.post("/mcp", &long(LONG)).await.status, 200);
}

#[tokio::test]
async fn a_caller_that_hangs_up_ends_its_call_whatever_it_sent_after_it() {
    let replica = Replica::start(&[("MCP_MAX_IN_FLIGHT", "1")]).await;
    let slow = call("slow_compute", json!({"seconds": 3600})).to_string();
    let slow = post("/mcp", &slow, slow.len());
    let next = ping().to_string();
    for after in [
        Vec::new(),
        b"\r\n".to_vec(),
        post("/mcp", &next, next.len()),
    ] {
        let mut stream = connect(&replica).await;
        stream
            .write_all(&[slow.clone(), after].concat())
            .await
            .unwrap();
        until_a_ping_is_answered(&replica, 503).await;
        drop(stream);
        until_a_ping_is_answered(&replica, 200).await;
    }
}
