use std::path::Path;

use mcp_core::ErrorCode;

use crate::program::{Program, sandbox, until};

/// A grandchild that left its session, is nobody's child and ignores what can be ignored.
const DAEMON: &str = r#"
def daemonise():
    if os.fork() == 0:
        os.setsid()
        for s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE): signal.signal(s, signal.SIG_IGN)
        if os.fork() == 0:
            while True: time.sleep(1)
        os._exit(0)
    os.wait()
daemonise()
"#;

#[tokio::test]
async fn a_daemon_that_the_server_leaves_is_ended() {
    for end in ["serve()", "sys.exit(1)", "os.kill(os.getpid(), 9)"] {
        let program = Program::legacy(&format!("{DAEMON}{end}"));
        let _ = program.run(&sandbox("")).await;
        program.assert_gone();
    }
}

#[tokio::test]
async fn a_server_that_kills_or_stops_its_launcher_leaves_nothing() {
    let program = Program::legacy(&format!(
        "{DAEMON}os.kill(os.getppid(), 9)\ntime.sleep(1000)"
    ));
    let failure = program.run(&sandbox("")).await.unwrap_err();
    assert_eq!(failure.code, ErrorCode::LaunchFailed);
    program.assert_gone();
    let program = Program::legacy(&format!(
        "{DAEMON}os.kill(os.getppid(), 19)\ntime.sleep(1000)"
    ));
    program
        .run(&sandbox("limits.handshake_ms = 300"))
        .await
        .unwrap_err();
    program.assert_gone();
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_nothing() {
    let sandbox = sandbox("");
    let program = Program::legacy(&format!("{DAEMON}time.sleep(1000)"));
    let server = program.server.clone();
    let call = {
        let sandbox = sandbox.clone();
        tokio::spawn(async move { sandbox.initialize("tested", &server).await })
    };
    until("server and daemon run", || program.processes().len() >= 2).await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    sandbox.drained().await;
    assert_eq!(sandbox.in_flight(), 0);
    program.assert_gone();
}

#[tokio::test]
async fn the_environment_holds_the_named_few_and_the_folder_is_private_and_temporary() {
    let program = Program::legacy(
        "tools = sorted(os.environ) + [os.environ['HOME'], os.environ['TMPDIR'], os.getcwd()]\n\
         tools += [str(len(os.listdir('.'))), str(sorted(int(fd) for fd in os.listdir('/proc/self/fd'))[:-1])]\n\
         def answer(method, params, first=answer):\n    \
         return {'tools': [tool(name) for name in tools]} if method == 'tools/list' else first(method, params)\n\
         serve()",
    )
    .env("API_TOKEN", "t");
    let result = program.run(&sandbox("env_passthrough = []")).await.unwrap();
    let names: Vec<_> = result.tools.iter().map(|tool| tool.name.as_str()).collect();
    let (variables, rest) = names.split_at(names.len() - 5);
    // Python itself adds LC_CTYPE where no locale is set.
    let variables: Vec<_> = variables
        .iter()
        .filter(|name| **name != "LC_CTYPE")
        .collect();
    assert_eq!(variables, [&"API_TOKEN", &"HOME", &"PATH", &"TMPDIR"]);
    let folder = rest[0];
    assert_eq!(&rest[1..4], [folder, folder, "0"]);
    assert_eq!(rest[4], "[0, 1, 2]", "no other file is handed down");
    assert!(!Path::new(folder).exists());
}

#[tokio::test]
async fn fifty_launches_leave_no_process_no_file_and_no_folder() {
    let sandbox = sandbox("");
    let program = Program::legacy(
        "def answer(method, params, first=answer):\n    \
         return {'tools': [tool(os.getcwd())]} if method == 'tools/list' else first(method, params)\nserve()",
    );
    let mut folders = Vec::new();
    for _ in 0..50 {
        let result = program.run(&sandbox).await.unwrap();
        folders.push(result.tools[0].name.clone());
    }
    sandbox.drained().await;
    program.assert_gone();
    assert!(folders.iter().all(|folder| !Path::new(folder).exists()));
    // Other tests of this process have files open too, so pipes and sockets can't be counted exactly: fifty launches
    // that each left one would show.
    let open = std::fs::read_dir("/proc/self/fd").unwrap().count();
    assert!(open < 50 + 40, "{open} files are open");
}
