//! `mcp-hybrid dev --keep`: it stays up, what it prints can be used, and Ctrl-C ends all of it.

use std::fs;

use mcp_testkit::{Process, ProcessBuilder};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::pair::SOON;
use crate::processes::{below, marked, wait_for, wait_for_none, wait_gone};

fn keep() -> ProcessBuilder {
    Process::builder(env!("CARGO_BIN_EXE_mcp-hybrid")).args(["dev", "--keep"])
}

/// The commands that it printed, without their indentation.
fn commands(printed: &[String], program: &str) -> Vec<String> {
    let lines = printed.iter().map(|line| line.trim());
    lines
        .filter(|line| line.starts_with(program))
        .map(str::to_owned)
        .collect()
}

/// Carries out `curl -s URL -H … -d 'BODY'`: curl need not be installed for these tests.
async fn curl(command: &str) -> Value {
    let url = command.split(' ').nth(2).unwrap();
    let (host, path) = url
        .strip_prefix("http://")
        .unwrap()
        .split_once('/')
        .unwrap();
    let (_, body) = command.split_once("-d '").unwrap();
    let body = body.strip_suffix('\'').unwrap();
    let request = format!(
        "POST /{path} HTTP/1.0\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(host).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    assert_eq!(head.split(' ').nth(1), Some("200"), "{answer}");
    serde_json::from_str(body).unwrap()
}

#[tokio::test]
async fn the_commands_that_it_prints_work_and_ctrl_c_ends_it_cleanly() {
    let mut dev = keep().start();
    dev.wait_for_line("Ctrl-C ends it", SOON).await;
    let printed = dev.output();
    let curls = commands(&printed, "curl");
    let call = curl(&curls[0]).await;
    let content = &call["result"]["structuredContent"];
    assert_eq!(content["status"], "initialized", "{call}");
    assert_eq!(content["tools"].as_array().unwrap().len(), 2);
    let drawn = curl(&curls[1]).await;
    let picture = &drawn["result"]["structuredContent"];
    assert_eq!(picture["title"], "Lighthouse at night", "{drawn}");
    let list = curl(&curls[2]).await;
    let tools = list["result"]["tools"].as_array().unwrap();
    let names: Vec<_> = tools.iter().map(|tool| &tool["name"]).collect();
    assert_eq!(
        names,
        [
            "generate_svg",
            "publish_server",
            "refine_svg",
            "server_initialize"
        ]
    );
    assert!(curls[3].contains("/ready") && curls[3].contains("/metrics"));

    let submit = commands(&printed, env!("CARGO_BIN_EXE_mcp-hybrid"));
    assert_eq!(submit.len(), 1, "{printed:?}");
    let mut submit = Process::builder("/bin/sh").args(["-c", &submit[0]]).start();
    let status = submit.wait_exit(SOON).await;
    assert!(status.success(), "{:?}", submit.output());
    submit.wait_for_line("\"succeeded\"", SOON).await;

    let id = dev.id();
    wait_for_none(|| below(id)).await;
    dev.interrupt();
    let status = dev.wait_exit(SOON).await;
    assert_eq!(status.code(), Some(0), "{:?}", dev.output());
}

#[tokio::test]
async fn a_second_ctrl_c_does_not_wait_for_a_launch_and_leaves_no_program() {
    let folder = tempfile::tempdir().unwrap();
    let mut dev = keep()
        .env("RUST_LOG", "info")
        .env("TMPDIR", folder.path().display())
        .start();
    dev.wait_for_line("Ctrl-C ends it", SOON).await;
    // In the only folder that the program may write to.
    let scratch = fs::read_dir(folder.path()).unwrap().next().unwrap();
    let pipe = scratch.unwrap().path().join("attempts");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());

    // The program waits for a writer that never comes.
    let command = commands(&dev.output(), "curl").remove(0);
    let arguments = format!("[\"demo-server\",\"--attempts-file\",{pipe:?}]");
    let command = command.replace("[\"demo-server\"]", &arguments);
    let call = tokio::spawn(async move { curl(&command).await });
    let mark = pipe.display().to_string();
    wait_for(1, || marked(&mark)).await;
    let started = below(dev.id());
    assert!(started.len() >= 2, "launcher and program: {started:?}");

    dev.interrupt();
    dev.wait_for_line("stopping", SOON).await;
    dev.interrupt();
    let status = dev.wait_exit(SOON).await;
    assert_eq!(status.code(), Some(130), "{:?}", dev.output());
    wait_gone(&started).await;
    assert!(call.await.is_err(), "it got no answer");
}
