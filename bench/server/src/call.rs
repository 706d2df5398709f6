//! Requests as bytes, and as much of HTTP/1.1 as reads their answers.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};

use crate::plan::{Era, System};

/// What the tool is given and gives back.
pub(crate) const TEXT: &str = "hello";
/// How long an answer may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// Largest answer.
pub(crate) const ANSWER_MAX: usize = 1024 * 1024;

/// The body of a `tools/call`, as a client of that era sends it.
pub(crate) fn message(era: Era) -> Value {
    let mut params = json!({"name": "echo", "arguments": {"text": TEXT}});
    if era == Era::Modern {
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": era.version(),
            "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        });
    }
    json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params})
}

/// A `tools/call` over HTTP. The systems get the same bytes, also those that ask for no key.
pub(crate) fn request(address: SocketAddr, era: Era, key: &str) -> Vec<u8> {
    let version = era.version();
    let names = match era {
        Era::Modern => "mcp-method: tools/call\r\nmcp-name: echo\r\n",
        Era::Legacy => "",
    };
    let headers = format!("mcp-protocol-version: {version}\r\n{names}{}", bearer(key));
    post(address, "/mcp", &headers, &message(era))
}

/// The header with a key.
pub(crate) fn bearer(key: &str) -> String {
    format!("authorization: Bearer {key}\r\n")
}

/// A POST of a message.
pub(crate) fn post(address: SocketAddr, path: &str, headers: &str, message: &Value) -> Vec<u8> {
    let body = message.to_string();
    format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A GET.
pub(crate) fn get(address: SocketAddr, path: &str, headers: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n{headers}\r\n").into_bytes()
}

/// An answer that has come whole.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
}

/// Reads an answer; None if some of it is still to come.
///
/// # Errors
/// When it is none, or its length can't be known.
pub(crate) fn parse(bytes: &[u8]) -> anyhow::Result<Option<Answer<'_>>> {
    let Some(end) = find(bytes, b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&bytes[..end]).context("the head of the answer is no text")?;
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.strip_prefix("HTTP/1.1 "))
        .and_then(|line| line.get(..3)?.parse().ok())
        .context("the answer is no HTTP/1.1")?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse::<usize>())
    });
    let length = length.with_context(|| format!("an answer without Content-Length: {head}"))??;
    ensure!(length < ANSWER_MAX, "the answer is too large");
    let body = bytes.get(end + 4..end + 4 + length);
    Ok(body.map(|body| Answer { status, body }))
}

/// Sends a request on a connection of its own, and gives status and body of the answer.
///
/// # Errors
/// When there is none.
pub(crate) fn exchange(address: SocketAddr, request: &[u8]) -> anyhow::Result<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request)?;
    let mut bytes = Vec::new();
    let mut part = [0; 16 * 1024];
    loop {
        if let Some(answer) = parse(&bytes)? {
            return Ok((answer.status, answer.body.to_vec()));
        }
        match stream.read(&mut part)? {
            0 => bail!("the connection was closed before the answer"),
            read => bytes.extend_from_slice(&part[..read]),
        }
    }
}

/// The body of a call's answer, after a look at every part of it: all the others have to be equal to it.
///
/// # Errors
/// When the call did not succeed.
pub(crate) fn checked_answer(
    system: System,
    era: Era,
    address: SocketAddr,
    request: &[u8],
) -> anyhow::Result<Vec<u8>> {
    let (status, body) = exchange(address, request)?;
    let text = String::from_utf8_lossy(&body);
    ensure!(status == 200, "answered with {status}: {text}");
    let answer: Value = serde_json::from_slice(&body).context("the answer is no JSON")?;
    let succeeded = match system {
        System::Floor => answer == message(era),
        _ => {
            let result = &answer["result"];
            answer["id"] == 7
                && result["isError"] != true
                && result["structuredContent"]["text"] == TEXT
                && result["content"][0]["text"].as_str().is_some()
        }
    };
    ensure!(succeeded, "the call did not succeed: {text}");
    Ok(body)
}

/// Where `what` begins in `bytes`.
pub(crate) fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|part| part == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_when_all_of_its_body_is_there() {
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        for part in 0..bytes.len() {
            assert_eq!(parse(&bytes[..part]).unwrap(), None, "{part}");
        }
        let answer = parse(bytes).unwrap().unwrap();
        assert_eq!((answer.status, answer.body), (200, &b"{}"[..]));
    }

    #[test]
    fn what_has_no_length_is_no_answer() {
        assert!(parse(b"HTTP/1.1 200 OK\r\n\r\n{}").is_err());
        assert!(parse(b"oops\r\n\r\n").is_err());
    }

    #[test]
    fn only_the_modern_era_says_in_each_request_who_asks() {
        let address = SocketAddr::from(([127, 0, 0, 1], 80));
        let text = |era| String::from_utf8(request(address, era, "k")).unwrap();
        let (modern, legacy) = (text(Era::Modern), text(Era::Legacy));
        assert!(modern.contains("mcp-name: echo\r\n") && modern.contains("_meta"));
        assert!(!legacy.contains("mcp-name") && !legacy.contains("_meta"));
        for text in [modern, legacy] {
            assert!(text.contains("authorization: Bearer k\r\n"), "{text}");
        }
    }
}
