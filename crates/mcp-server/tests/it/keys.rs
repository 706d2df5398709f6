//! Who is let in, with what, and what becomes of changes to the file of keys.

use std::path::{Path, PathBuf};

use mcp_testkit::{Process, eventually};
use serde_json::json;

use crate::replica::Events;
use crate::server::{Answer, PATIENCE, Server, call};

/// The tests' URL names the address that is bound.
const ANY_HOST: (&str, &str) = ("MCP_ALLOWED_HOSTS", "*");
const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

/// What `mcp-server keys new` prints: a key and a line.
pub(crate) async fn new_key(flags: &[&str]) -> (String, String) {
    let mut process = Server::builder().args(["keys", "new"]).args(flags).start();
    assert!(
        process.wait_exit(PATIENCE).await.success(),
        "{:?}",
        process.output()
    );
    process.wait_for_line("sha256:", PATIENCE).await;
    let printed = process.output();
    assert_eq!(printed.len(), 2, "{printed:?}");
    (printed[0].clone(), printed[1].clone())
}

/// A file of keys.
pub(crate) struct Keys {
    folder: tempfile::TempDir,
}

impl Keys {
    pub(crate) fn new(lines: &[&str]) -> Self {
        let keys = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        keys.write(lines);
        keys
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("keys")
    }

    /// In place, as an editor or `>>` does.
    fn write(&self, lines: &[&str]) {
        std::fs::write(self.path(), lines.join("\n")).unwrap();
    }

    async fn server(&self, variables: &[(&str, &str)]) -> Server {
        let path = self.path();
        let mut all = vec![("MCP_API_KEYS_FILE", path.to_str().unwrap())];
        all.extend_from_slice(variables);
        Server::with("", &all).await
    }
}

async fn ping(server: &Server, key: &str) -> Answer {
    let bearer = format!("Bearer {key}");
    server
        .post("/mcp", &[("authorization", &bearer)], PING)
        .await
}

async fn until_status(server: &Server, key: &str, status: u16) {
    eventually(PATIENCE, async || match ping(server, key).await.status {
        seen if seen == status => Ok(()),
        seen => Err(format!("{seen}")),
    })
    .await;
}

#[tokio::test]
async fn a_key_that_the_command_makes_lets_its_caller_in_and_nobody_else() {
    let (key, line) = new_key(&["--scope", "tools:call", "--name", "worker"]).await;
    let (old, expired) =
        new_key(&["--scope", "tools:call", "--expires", "2020-01-01T00:00:00Z"]).await;
    assert!(
        line.starts_with("worker sha256:") && line.ends_with(" tools:call"),
        "{line}"
    );
    let keys = Keys::new(&["# made for the test", &line, "", &expired]);
    let server = keys
        .server(&[("BIND", "0.0.0.0"), ANY_HOST, ("RUST_LOG", "trace")])
        .await;
    for path in ["/mcp", "/message"] {
        let refused = server.post(path, &[], PING).await;
        assert_eq!(refused.status, 401, "{path}");
        assert_eq!(refused.headers["www-authenticate"], "Bearer");
        assert_eq!(refused.body["error"]["code"], -32600);
    }
    for wrong in [
        &old,
        "wrong",
        &line,
        &key[..key.len() - 1],
        &format!("{key}x"),
    ] {
        let refused = ping(&server, wrong).await;
        assert_eq!(refused.status, 401, "{wrong}");
        let challenge = &refused.headers["www-authenticate"];
        assert_eq!(challenge, "Bearer error=\"invalid_token\"");
    }
    let works = ping(&server, &key).await;
    assert_eq!((works.status, &works.body["result"]), (200, &json!({})));
    for path in ["/health", "/ready", "/metrics"] {
        let url = format!("{}{path}", server.url);
        assert_eq!(reqwest::get(url).await.unwrap().status(), 200, "{path}");
    }
    assert!(!server.process.printed(&key), "the key is in the log");
    assert!(
        !server.process.printed(&old),
        "the expired key is in the log"
    );
}

#[tokio::test]
async fn a_tool_is_called_only_with_its_scope() {
    let (plain, first) = new_key(&["--scope", "tools:call"]).await;
    let (launcher, second) = new_key(&["--scope", "servers:launch,tools:call"]).await;
    let keys = Keys::new(&[&first, &second]);
    let server = keys.server(&[]).await;
    let body = call(json!({"name": "x", "command": "sh"}));
    let bearer = format!("Bearer {plain}");
    for path in ["/mcp", "/message"] {
        let refused = server
            .post(path, &[("authorization", &bearer)], body.clone())
            .await;
        assert_eq!(refused.status, 403, "{refused:?}");
        assert_eq!(refused.body["id"], 1);
        let challenge = refused.headers["www-authenticate"].to_str().unwrap();
        assert!(challenge.contains("insufficient_scope"), "{challenge}");
        assert!(challenge.contains("servers:launch"), "{challenge}");
    }
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let listed = server
        .post("/mcp", &[("authorization", &bearer)], list)
        .await;
    assert_eq!(listed.status, 200);
    let bearer = format!("Bearer {launcher}");
    let called = server
        .post("/mcp", &[("authorization", &bearer)], body)
        .await;
    assert_eq!(called.status, 200);
    assert_eq!(
        called.body["result"]["_meta"]["io.mcp-hybrid/error"]["code"],
        "launch-denied"
    );
}

#[tokio::test]
async fn changes_of_the_file_are_taken_up_and_mistakes_are_not() {
    let (one, first) = new_key(&["--scope", "tools:call"]).await;
    let (two, second) = new_key(&["--scope", "tools:call"]).await;
    let keys = Keys::new(&[&first]);
    let mut server = keys.server(&[]).await;
    until_status(&server, &one, 200).await;
    assert_eq!(ping(&server, &two).await.status, 401);
    keys.write(&[&first, &second]);
    until_status(&server, &two, 200).await;
    keys.write(&[&second, "a mistake"]);
    let line = server.process.wait_for_line("line 2", PATIENCE).await;
    assert!(line.contains("stays"), "{line}");
    assert_eq!(ping(&server, &one).await.status, 200);
    std::fs::remove_file(keys.path()).unwrap();
    server
        .process
        .wait_for_line("can't be read", PATIENCE)
        .await;
    assert_eq!(ping(&server, &one).await.status, 200);
    // As Kubernetes changes a mounted secret: another file in its place.
    let new = keys.folder.path().join("new");
    std::fs::write(&new, &second).unwrap();
    std::os::unix::fs::symlink(&new, keys.path()).unwrap();
    until_status(&server, &one, 401).await;
    assert_eq!(ping(&server, &two).await.status, 200);
    // The start refuses a file without keys; so does the running server.
    std::fs::write(&new, "# nobody\n").unwrap();
    server.process.wait_for_line("holds no key", PATIENCE).await;
    assert_eq!(ping(&server, &two).await.status, 200);
}

#[tokio::test]
async fn a_stream_follows_its_key() {
    let (key, line) = new_key(&["--scope", "tools:call"]).await;
    let (_, other) = new_key(&["--scope", "tools:call"]).await;
    let keys = Keys::new(&[&line, &other]);
    let server = keys.server(&[]).await;
    let open = reqwest::Client::new().get(format!("{}/sse", server.url));
    let mut events = Events::of(open.bearer_auth(&key)).await;
    let path = events.next().await.unwrap().data;
    let bearer = format!("Bearer {key}");
    let launch = call(json!({"name": "x", "command": "sh"}));
    let post = async |path: &str| {
        let headers = [("authorization", &*bearer)];
        server.post(path, &headers, launch.clone()).await.status
    };
    assert_eq!(post(&path).await, 403);
    // A scope that is added holds for streams that are open.
    let more = line.replace("tools:call", "tools:call,servers:launch");
    keys.write(&[&more, &other]);
    eventually(PATIENCE, async || match post("/mcp").await {
        200 => Ok(()),
        status => Err(format!("{status}")),
    })
    .await;
    assert_eq!(post(&path).await, 202);
    let result = &events.must().await["result"];
    let error = &result["_meta"]["io.mcp-hybrid/error"];
    assert_eq!(error["code"], "launch-denied", "{result}");
    // And with the key the stream ends.
    keys.write(&[&other]);
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn no_key_takes_all_streams() {
    let (own, first) = new_key(&["--scope", "tools:call", "--name", "own"]).await;
    let (other, second) = new_key(&["--scope", "tools:call", "--streams", "1"]).await;
    let keys = Keys::new(&[&first, &second]);
    let server = keys.server(&[("MCP_MAX_STREAMS", "4")]).await;
    let open = async |key: &str| {
        let open = reqwest::Client::new().get(format!("{}/sse", server.url));
        open.bearer_auth(key).send().await.unwrap()
    };
    let mut opened = Vec::new();
    // Half of all by default.
    for (key, status) in [
        (&own, 200),
        (&own, 200),
        (&own, 429),
        (&other, 200),
        (&other, 429),
    ] {
        let stream = open(key).await;
        assert_eq!(stream.status(), status);
        opened.push(stream);
    }
    opened.clear();
    eventually(PATIENCE, async || {
        match open(&own).await.status().as_u16() {
            200 => Ok(()),
            status => Err(format!("{status}")),
        }
    })
    .await;
}

#[tokio::test]
async fn beyond_loopback_it_starts_only_with_keys_or_when_told_that_anyone_may_call() {
    let refusal = async |variables: &[(&str, &str)]| {
        let mut process = Server::builder()
            .env("PORT", 0)
            .env("BIND", "0.0.0.0")
            .envs(variables.iter().copied())
            .start();
        assert_eq!(process.wait_exit(PATIENCE).await.code(), Some(1));
        process.wait_for_line("mcp-server: ", PATIENCE).await
    };
    let line = refusal(&[]).await;
    assert!(
        line.contains("MCP_API_KEYS_FILE") && line.contains("MCP_AUTH=none"),
        "{line}"
    );
    let empty = Keys::new(&["# nobody yet"]);
    let path = empty.path();
    let line = refusal(&[("MCP_API_KEYS_FILE", path.to_str().unwrap())]).await;
    assert!(line.contains("keys new"), "{line}");
    let (key, line) = new_key(&["--scope", "tools:call"]).await;
    empty.write(&[&line]);
    let both = [
        ("MCP_API_KEYS_FILE", path.to_str().unwrap()),
        ("MCP_AUTH", "none"),
    ];
    assert!(refusal(&both).await.contains("MCP_AUTH"));
    let server = empty.server(&[("BIND", "0.0.0.0"), ANY_HOST]).await;
    until_status(&server, &key, 200).await;
    let open = Server::with("", &[("BIND", "0.0.0.0"), ANY_HOST, ("MCP_AUTH", "none")]).await;
    assert_eq!(open.post("/mcp", &[], PING).await.status, 200);
}

#[tokio::test]
async fn a_mistake_on_the_command_line_is_one_line() {
    for flags in [
        &["--scope", "tools:all"][..],
        &[],
        &["--scope", "tools:call", "--name", "a b"],
        &["--scope", "tools:call", "--expires", "tomorrow"],
    ] {
        let mut process: Process = Server::builder().args(["keys", "new"]).args(flags).start();
        assert_eq!(
            process.wait_exit(PATIENCE).await.code(),
            Some(2),
            "{flags:?}"
        );
        process.wait_for_line("mcp-server: ", PATIENCE).await;
        assert_eq!(process.output().len(), 1, "{:?}", process.output());
    }
}

#[tokio::test]
async fn what_a_bad_file_says_is_named_by_its_line_and_not_repeated() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let start = async |text: &str| {
        std::fs::write(file.path(), text).unwrap();
        let path: &Path = file.path();
        let mut process = Server::builder()
            .env("PORT", 0)
            .env("MCP_API_KEYS_FILE", path.display())
            .start();
        assert_eq!(process.wait_exit(PATIENCE).await.code(), Some(1));
        process.wait_for_line("mcp-server: ", PATIENCE).await
    };
    let line = start("# keys\nworker hunter2 tools:call").await;
    assert!(
        line.contains("line 2") && !line.contains("hunter2"),
        "{line}"
    );
}
