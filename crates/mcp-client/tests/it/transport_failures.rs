//! What goes wrong below HTTP, and time.

use std::time::Duration;

use mcp_client::{McpClient, Readiness, ServerUrl};
use mcp_core::{Blame, ErrorCode};
use mcp_testkit::eventually;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::stub::{Reply, Stub, call, call_within, failure_of, said};

fn client_of(url: &str) -> McpClient {
    McpClient::builder(ServerUrl::parse(url).unwrap())
        .build()
        .unwrap()
}

#[tokio::test]
async fn a_refused_connection_is_an_unreachable_server() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let failure = call(&client_of(&format!(
        "http://127.0.0.1:{port}/mcp?key=hunter2"
    )))
    .await
    .unwrap_err();
    assert_eq!(failure.code, ErrorCode::ServerUnreachable);
    assert_eq!(failure.code.blame(), Blame::Server);
    assert!(
        failure
            .message
            .contains(&format!("http://127.0.0.1:{port}")),
        "{}",
        failure.message
    );
    assert!(failure.message.contains("refused"), "{}", failure.message);
    assert!(!failure.message.contains("hunter2"), "{}", failure.message);
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_an_unreachable_server() {
    let failure = call(&client_of("http://no-such-host.invalid/"))
        .await
        .unwrap_err();
    assert_eq!(failure.code, ErrorCode::ServerUnreachable);
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_unreachable_over_https() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let closing = tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            drop(socket);
        }
    });
    let failure = call(&client_of(&format!("https://127.0.0.1:{port}")))
        .await
        .unwrap_err();
    closing.abort();
    assert_eq!(failure.code, ErrorCode::ServerUnreachable, "{failure}");
}

#[tokio::test]
async fn a_connection_that_breaks_after_the_call_was_sent_is_lost() {
    let reset = failure_of(|_| Reply::Reset).await;
    assert_eq!(reset.code, ErrorCode::ConnectionLost, "{reset}");
    let closed = failure_of(|_| Reply::Raw(Vec::new())).await;
    assert_eq!(closed.code, ErrorCode::ConnectionLost, "{closed}");
    let cut =
        b"HTTP/1.1 200 X\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{\"json"
            .to_vec();
    let cut = failure_of(move |_| Reply::Raw(cut.clone())).await;
    assert_eq!(cut.code, ErrorCode::ConnectionLost, "{cut}");
    let chunk = b"HTTP/1.1 200 X\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n5\r\n: hey\r\n".to_vec();
    let chunk = failure_of(move |_| Reply::Raw(chunk.clone())).await;
    assert_eq!(chunk.code, ErrorCode::ConnectionLost, "{chunk}");
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up_at_the_deadline() {
    let hangs = Stub::start(|_| Reply::Hang).await;
    let failure = call_within(&hangs.client(), Duration::from_millis(200))
        .await
        .unwrap_err();
    assert_eq!(failure.code, ErrorCode::CallTimeout);
    assert!(failure.message.contains("200 ms"), "{}", failure.message);

    let (feed, kept_open) = tokio::sync::mpsc::unbounded_channel();
    feed.send(": still here\n\n".to_owned()).unwrap();
    let kept_open = std::sync::Mutex::new(Some(kept_open));
    let drips = Stub::start(move |_| Reply::Feed(kept_open.lock().unwrap().take().unwrap())).await;
    let failure = call_within(&drips.client(), Duration::from_millis(200))
        .await
        .unwrap_err();
    assert_eq!(failure.code, ErrorCode::CallTimeout);
}

#[tokio::test]
async fn a_connection_that_the_server_closed_while_idle_is_replaced() {
    let stub = Stub::start(|seen| {
        let body =
            serde_json::json!({"jsonrpc": "2.0", "id": seen.json()["id"], "result": said("hi")})
                .to_string();
        // It says nothing of closing, and closes.
        let head = format!(
            "HTTP/1.1 200 X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        Reply::Raw(format!("{head}{body}").into_bytes())
    })
    .await;
    let client = stub.client();
    call(&client).await.unwrap();
    // Whether the client has noticed yet is a race: then the call fails as one that may be repeated.
    match call(&client).await {
        Ok(result) => assert_eq!(result.text(), Some("hi")),
        Err(failure) => assert_eq!(failure.code, ErrorCode::ConnectionLost),
    }
}

#[tokio::test]
async fn a_call_that_is_dropped_closes_its_connection() {
    let stub = Stub::start(|_| Reply::Hang).await;
    let client = stub.client();
    let calling = tokio::spawn(async move { call(&client).await });
    eventually(Duration::from_secs(20), async || {
        match stub.methods().len() {
            1 => Ok(()),
            _ => Err("the call has not arrived"),
        }
    })
    .await;
    calling.abort();
    eventually(Duration::from_secs(20), async || match stub.hung_up() {
        1 => Ok(()),
        _ => Err("the connection is still open"),
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_is_not_made_in_time_is_an_unreachable_server() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    // Nobody accepts: once its queue is full, the system drops further attempts.
    let full = (0..8).map(|_| tokio::spawn(TcpStream::connect(address)));
    let full: Vec<_> = full.collect();
    let queued = || full.iter().filter(|attempt| attempt.is_finished()).count();
    eventually(Duration::from_secs(20), async || match queued() {
        0 => Err("nothing is queued yet"),
        _ => Ok(()),
    })
    .await;
    let url = ServerUrl::parse(&format!("http://{address}")).unwrap();
    let client = McpClient::builder(url).connect_timeout(Duration::from_millis(200));
    let failure = call(&client.build().unwrap()).await.unwrap_err();
    assert_eq!(failure.code, ErrorCode::ServerUnreachable, "{failure}");
}

#[tokio::test]
async fn a_server_is_asked_for_its_readiness_at_the_root_of_its_host_and_without_a_key() {
    let server = mcp_testkit::StubServer::start(async |_| mcp_testkit::Reply::Hang).await;
    let client = client_of(&format!("{}/mcp/deep?key=hunter2", server.url()));
    for (status, code) in [
        (200, None),
        (204, None),
        (500, Some(ErrorCode::ServerError)),
        (503, Some(ErrorCode::ServerUnavailable)),
    ] {
        server.set_readiness(status);
        match (client.readiness().await, code) {
            (Readiness::Ready, None) => {}
            (Readiness::NotReady(failure), Some(code)) => assert_eq!(failure.code, code),
            (other, _) => panic!("{status}: {other:?}"),
        }
    }
    for status in [401, 404, 405, 302] {
        server.set_readiness(status);
        assert_eq!(client.readiness().await, Readiness::Unknown, "{status}");
    }
    drop(server);
    let Readiness::NotReady(failure) = client_of("http://127.0.0.1:1/").readiness().await else {
        panic!("nobody listens there")
    };
    assert_eq!(failure.code, ErrorCode::ServerUnreachable);
}
