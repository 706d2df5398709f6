use std::{
    os::unix::process::ExitStatusExt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, http::StatusCode, routing::get};
use mcp_testkit::{Process, eventually, fetched, free_port};
use tokio::net::TcpListener;

const SOON: Duration = Duration::from_secs(20);

fn shell(script: &str) -> Process {
    Process::builder("sh")
        .args(["-c", script])
        .env("GIVEN", "yes")
        .start()
}

#[tokio::test]
async fn a_program_sees_only_the_given_environment() {
    let mut program = shell("env; echo done >&2");

    program.wait_for_line("done", SOON).await;
    assert!(program.wait_exit(SOON).await.success());

    assert!(program.printed("GIVEN=yes"));
    assert!(!program.printed("CARGO"), "{:?}", program.output());
}

#[tokio::test]
async fn a_program_can_be_asked_frozen_and_killed() {
    let mut polite = shell("trap 'echo asked; exit 3' TERM; echo up; while :; do sleep 0.1; done");
    polite.wait_for_line("up", SOON).await;
    polite.terminate();
    assert_eq!(polite.wait_exit(SOON).await.code(), Some(3));
    assert!(polite.printed("asked"));

    let mut stubborn = shell("trap '' TERM; echo up; while :; do sleep 0.1; done");
    stubborn.wait_for_line("up", SOON).await;
    stubborn.terminate();
    stubborn.freeze();
    stubborn.resume();
    assert_eq!(stubborn.exited(), None);
    stubborn.kill9();
    assert_eq!(stubborn.exited().unwrap().signal(), Some(9));
}

#[tokio::test]
async fn ready_means_that_the_admin_route_says_so() {
    let port = free_port();
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let answer = move || {
        let first = asked.fetch_add(1, Ordering::Relaxed) == 0;
        async move { if first { 503 } else { 200 } }
    };
    let status = move || async move { StatusCode::from_u16(answer().await).unwrap() };
    let app = Router::new().route("/ready", get(status));
    let serving = tokio::spawn(async { axum::serve(listener, app).await });
    let mut program = shell("exec sleep 60");

    let url = format!("http://127.0.0.1:{port}/");
    program.wait_ready(&url, SOON).await;

    serving.abort();
}

#[tokio::test]
#[should_panic(expected = "sh: it ended with exit status: 7; it printed:\nno such port")]
async fn a_program_that_ends_in_place_of_getting_ready_is_shown() {
    let mut program = shell("echo no such port; exit 7");
    program.wait_exit(SOON).await;
    program.wait_for_line("no such port", SOON).await;
    program.wait_ready("http://127.0.0.1:9", SOON).await;
}

#[tokio::test]
async fn a_child_dies_when_the_test_process_is_killed() {
    let mut program = shell("echo up; exec sleep 600");
    program.wait_for_line("up", SOON).await;

    // Closes the pipe that the kernel would close.
    program.cut_leash();

    assert_eq!(program.wait_exit(SOON).await.signal(), Some(9));
}

#[tokio::test]
#[should_panic(expected = "not within 100ms: still 3")]
async fn waiting_ends_with_what_was_seen_last() {
    eventually(Duration::from_millis(100), async || Err::<(), _>("still 3")).await;
}

#[tokio::test]
async fn the_fetched_programs_run() {
    let run = async |program, arguments: &[&std::ffi::OsStr]| {
        let mut program = Process::builder(program).args(arguments).start();
        let status = program.wait_exit(SOON).await;
        (status.success(), program)
    };

    let (_, mut node) = run(fetched::node22(), &["--version".as_ref()]).await;
    node.wait_for_line("v22.", SOON).await;

    let suite = fetched::conformance_cli();
    let (listed, mut list) = run(
        fetched::node22(),
        &[suite.as_ref(), "list".as_ref(), "--server".as_ref()],
    )
    .await;
    assert!(listed);
    list.wait_for_line("tools-list", SOON).await;

    let (imported, _) = run(fetched::python(), &["-c".as_ref(), "import mcp".as_ref()]).await;
    assert!(imported);
    assert!(fetched::everything_server_js().is_file());
}
