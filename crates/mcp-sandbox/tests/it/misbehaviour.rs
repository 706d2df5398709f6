use std::time::Duration;

use mcp_core::ErrorCode;

use crate::program::{Program, sandbox};

/// A time that no test should need, but a hanging one would pass.
const HANG: Duration = Duration::from_secs(60);

async fn failure(program: &Program, policy: &str) -> mcp_core::Failure {
    let outcome = tokio::time::timeout(HANG, program.run(&sandbox(policy))).await;
    let failure = outcome.expect("it must end").expect_err("it must fail");
    program.assert_gone();
    failure
}

#[tokio::test]
async fn a_server_that_says_nothing_is_ended_at_the_deadline() {
    let program = Program::new("import time\nwhile True: time.sleep(1)");
    let failure = failure(&program, "limits.handshake_ms = 500").await;
    assert_eq!(failure.code, ErrorCode::HandshakeTimeout);
    assert!(failure.message.contains("within 500 ms"), "{failure}");
}

#[tokio::test]
async fn a_server_that_ignores_every_request_to_end_is_ended() {
    let program = Program::legacy(
        "for s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP): signal.signal(s, signal.SIG_IGN)\n\
         serve()\nwhile True: time.sleep(1)",
    );
    program.run(&sandbox("")).await.unwrap();
    program.assert_gone();
}

#[tokio::test]
async fn a_server_that_hides_its_memory_behind_its_dead_first_thread_is_ended() {
    // 60 and 93 are SYS_exit, which ends the thread that calls it: of such a process the kernel tells no memory.
    let program = Program::legacy(
        "import ctypes, platform, threading\n\
         threading.Thread(target=lambda: (time.sleep(20), serve())).start()\n\
         ctypes.CDLL(None).syscall(60 if platform.machine() == 'x86_64' else 93, 0)",
    );
    let failure = failure(&program, "").await;
    assert_eq!(failure.code, ErrorCode::LaunchLimit);
    assert!(
        failure.message.contains("without its first thread"),
        "{failure}"
    );
}

#[tokio::test]
async fn a_flood_on_standard_output_is_cut_off() {
    let program = Program::new("import sys\nwhile True: sys.stdout.write('x' * 65536)");
    let failure = failure(&program, "").await;
    assert_eq!(failure.code, ErrorCode::HandshakeTooLarge);
    assert!(
        failure.message.contains("more than 4194304 bytes"),
        "{failure}"
    );
}

#[tokio::test]
async fn a_flood_of_notifications_is_cut_off() {
    let program =
        Program::legacy("while True: send({'jsonrpc': '2.0', 'method': 'notifications/x'})");
    let failure = failure(&program, "limits.output_bytes = 100000").await;
    assert_eq!(failure.code, ErrorCode::HandshakeTooLarge);
}

#[tokio::test]
async fn a_flood_on_standard_error_neither_blocks_nor_fills_the_message() {
    let program = Program::legacy("sys.stderr.write('noise ' * 1000000)\nserve()");
    program.run(&sandbox("")).await.unwrap();
    let gigabytes =
        "mebibyte = b'x' * (1 << 20)\nfor _ in range(2048): os.write(2, mebibyte)\nserve()";
    Program::legacy(gigabytes).run(&sandbox("")).await.unwrap();
    let program = Program::new(
        "import sys\nsys.stderr.write('noise ' * 1000000 + 'the reason')\nsys.exit(3)",
    );
    let failure = failure(&program, "").await;
    assert_eq!(failure.code, ErrorCode::LaunchFailed);
    assert!(failure.message.contains("exit code 3"), "{failure}");
    assert!(failure.message.ends_with("the reason"), "{failure}");
    assert!(failure.message.len() < 1_100);
}

#[tokio::test]
async fn a_server_that_ends_at_once_is_described_without_the_values_it_was_given() {
    let program = Program::new(
        "import os, sys\nsys.stderr.write('no access with ' + os.environ['TOKEN'])\nsys.exit(7)",
    )
    .env("TOKEN", "hunter2hunter2");
    let failure = failure(&program, "").await;
    assert_eq!(failure.code, ErrorCode::LaunchFailed);
    assert!(failure.message.contains("exit code 7"), "{failure}");
    assert!(
        failure.message.contains("no access with [secret]"),
        "{failure}"
    );
}

#[tokio::test]
async fn a_line_that_is_no_json_rpc_is_quoted_without_the_values_it_was_given() {
    let plain = "hunter2hunter2hunter2".to_owned();
    let spelled = r#"hunt"er2\hunter2"#.to_owned();
    let long = format!("hunter2-{}", "0123456789".repeat(300));
    for (value, what) in [
        (&plain, "'x' * 100 + token"),
        (&spelled, "'token: ' + token"),
        (&spelled, "'token: ' + json.dumps(token)"),
        (&spelled, "'token: ' + repr(token)"),
        (&long, "'x' * 110 + token"),
        // It ends in the middle of it.
        (&plain, "'token: ' + token[:17]"),
        (&plain, "'token: ' + token[:10] + chr(10) + token[10:]"),
    ] {
        for end in ["", "\\n"] {
            let code = format!(
                "import json, os, sys\ntoken = os.environ['TOKEN']\nsys.stdout.write({what} + '{end}')\n\
                 sys.stdout.flush()\nsys.exit(3)"
            );
            let program = Program::new(&code).env("TOKEN", value);
            let failure = failure(&program, "").await;
            assert!(failure.message.contains("it wrote"), "{what}: {failure}");
            assert!(!failure.message.contains("hunt"), "{what}: {failure}");
        }
    }
}

#[tokio::test]
async fn no_part_of_a_value_is_left_at_either_end_of_standard_error() {
    for what in [
        // Of the first value only the end is kept.
        "token * 2 + 'x' * 85",
        // The program is ended in the middle of the second one.
        "'x' * 1000 + token[:12]",
        // Wrapped, as loggers do it.
        "'| ' + token[:9] + chr(10) + '  ' + token[9:]",
    ] {
        let code = format!(
            "import os, sys\ntoken = os.environ['TOKEN']\nsys.stderr.write({what})\nsys.exit(3)"
        );
        let program = Program::new(&code).env("TOKEN", "hunter2-hunter2-hunter2");
        let failure = failure(&program, "limits.stderr_bytes = 120").await;
        assert!(failure.message.contains("exit code 3"), "{failure}");
        for part in ["hunt", "unter", "ter2"] {
            assert!(!failure.message.contains(part), "{what}: {failure}");
        }
    }
}

#[tokio::test]
async fn a_server_that_a_signal_ends_is_described() {
    let program = Program::new("import os\nos.kill(os.getpid(), 11)");
    let failure = failure(&program, "").await;
    assert_eq!(failure.code, ErrorCode::LaunchFailed);
    assert!(failure.message.contains("signal 11"), "{failure}");
}

#[tokio::test]
async fn something_that_is_no_mcp_server_is_refused() {
    let program =
        Program::new("import time\nprint('Listening on port 80', flush=True)\ntime.sleep(1000)");
    let failure = failure(&program, "limits.handshake_ms = 500").await;
    assert_eq!(failure.code, ErrorCode::HandshakeFailed);
    assert!(
        failure.message.contains("Listening on port 80"),
        "{failure}"
    );
    let program = Program::new("while True: print('tick')");
    assert_eq!(
        self::failure(&program, "").await.code,
        ErrorCode::HandshakeFailed
    );
}

#[tokio::test]
async fn endless_pages_and_too_many_tools_are_cut_off() {
    let endless = "def answer(method, params, first=answer):\n    \
         if method == 'tools/list': return {'tools': [tool('t')], 'nextCursor': 'again'}\n    \
         return first(method, params)\nserve()";
    let failure = failure(&Program::legacy(endless), "limits.pages = 5").await;
    assert_eq!(failure.code, ErrorCode::HandshakeTooLarge);
    assert!(failure.message.contains("more than 5 pages"), "{failure}");
    let failure = self::failure(&Program::legacy(endless), "limits.tools = 3").await;
    assert!(failure.message.contains("more than 3 tools"), "{failure}");
}

#[tokio::test]
async fn a_program_that_is_not_there_any_more_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tool");
    std::os::unix::fs::symlink("/bin/true", &path).unwrap();
    let policy = mcp_sandbox::LaunchPolicy::allow_commands(
        &[path.to_str().unwrap().to_owned()],
        mcp_sandbox::Folders::default(),
        &|_| None,
    )
    .unwrap();
    let sandbox =
        mcp_sandbox::Sandbox::with_launcher(policy, env!("CARGO_BIN_EXE_mcp-sandbox").into());
    std::fs::remove_file(&path).unwrap();
    let mut server = Program::new("").server;
    server.command = path.to_str().unwrap().to_owned();
    let failure = sandbox
        .initialize("tester", "tested", &server)
        .await
        .unwrap_err();
    assert_eq!(failure.code, ErrorCode::LaunchDenied);
}

#[tokio::test]
async fn over_the_bound_a_caller_is_told_to_come_back() {
    let sandbox = sandbox("limits.concurrency = 1\nlimits.handshake_ms = 10000");
    let slow = Program::new("import time\nwhile True: time.sleep(1)");
    let first = {
        let sandbox = sandbox.clone();
        let server = slow.server.clone();
        tokio::spawn(async move { sandbox.initialize("tester", "slow", &server).await })
    };
    crate::program::until("it runs", || !slow.processes().is_empty()).await;
    let failure = Program::legacy("serve()").run(&sandbox).await.unwrap_err();
    assert_eq!(failure.code, ErrorCode::LaunchBusy);
    assert!(failure.retry_after.is_some());
    first.abort();
    sandbox.drained().await;
    slow.assert_gone();
}

#[tokio::test]
async fn a_connection_counts_as_one_of_the_programs_that_may_run_at_once() {
    let sandbox = sandbox("limits.concurrency = 1");
    let work = std::future::pending::<Result<(), mcp_core::Failure>>();
    let first = {
        let sandbox = sandbox.clone();
        tokio::spawn(async move { sandbox.counted(work).await })
    };
    crate::program::until("it is counted", || sandbox.in_flight() == 1).await;
    let failure = sandbox.counted(async { Ok(()) }).await.unwrap_err();
    assert_eq!(failure.code, ErrorCode::LaunchBusy);
    assert!(failure.retry_after.is_some());
    first.abort();
    sandbox.counted(async { Ok(()) }).await.unwrap();
}
