use std::path::Path;

use mcp_core::ErrorCode;

use crate::launching::{Launching, Who};
use crate::program::{LEGACY, Program, sandbox, until};

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
        tokio::spawn(async move { sandbox.initialize("tester", "tested", &server).await })
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
async fn a_private_folder_that_resists_is_removed() {
    for who in Who::all() {
        let policy = "[[command]]\nname = \"python3\"\npath = \"/usr/bin/python3\"\n";
        let code = format!(
            "{LEGACY}\nos.mkdir('closed', 0)\nos.mkdir('outer')\nos.mkdir('outer/closed', 0)\n\
             os.symlink('/usr', 'link')\nfor _ in range(5000):\n    os.mkdir('deep')\n    os.chdir('deep')\nserve()"
        );
        let told = Launching::new(who, policy)
            .run("python3", &["-c", &code])
            .await;
        told.outcome().unwrap();
        told.assert_nothing_left();
    }
}

#[tokio::test]
async fn two_hundred_launches_sixteen_at_a_time_leave_no_process_no_open_file_and_no_folder() {
    for who in Who::all() {
        let mut launching = Launching::new(who, "limits.concurrency = 16\n").allow_own();
        launching.count = 200;
        let told = launching.run("own", &["serve"]).await;
        assert_eq!(told.outcomes.len(), 200);
        for outcome in &told.outcomes {
            let result = outcome.as_ref().unwrap();
            assert_eq!(result["tools"][0]["name"], "add");
        }
        told.assert_nothing_left();
    }
}
