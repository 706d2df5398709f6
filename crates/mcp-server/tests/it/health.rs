//! `mcp-server health`, as an image's health check runs it.

use crate::server::{PATIENCE, Server};

/// What it says of `server`, which was started with these variables: the exit code, and what was printed.
pub(crate) async fn health(server: &Server, variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let port = server.url.rsplit(':').next().unwrap();
    of_port(port, &["health", "--ready"], variables).await
}

async fn of_port(
    port: &str,
    arguments: &[&str],
    variables: &[(&str, &str)],
) -> (Option<i32>, String) {
    let mut process = Server::builder()
        .args(arguments)
        .env("PORT", port)
        .envs(variables.iter().copied())
        .start();
    let status = process.wait_exit(PATIENCE).await;
    // The pipe may be read a moment after the end.
    process.wait_for_line("", PATIENCE).await;
    (status.code(), process.output().join("\n"))
}

#[tokio::test]
async fn it_is_well_while_the_server_is() {
    let server = Server::start().await;
    let (code, said) = health(&server, &[]).await;
    assert_eq!((code, &*said), (Some(0), r#"{"status":"ok"}"#));
    let (code, _) = health(&server, &[("BIND", "0.0.0.0")]).await;
    assert_eq!(
        code,
        Some(0),
        "bound to every address it is reached on loopback"
    );
}

#[tokio::test]
async fn where_nothing_answers_it_says_so_in_one_line() {
    let port = mcp_testkit::free_port().to_string();
    let (code, said) = of_port(&port, &["health"], &[]).await;
    assert_eq!(code, Some(1));
    assert!(
        said.starts_with("mcp-server: /health: nothing answers at 127.0.0.1:"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1);
}
