use std::path::Path;

use indexmap::IndexMap;
use mcp_core::{ErrorCode, Secret, StdioServer};

use super::{Folders, LaunchPolicy, PolicyError};

fn lookup(name: &str) -> Option<String> {
    match name {
        "PATH" => Some("/usr/bin:/bin".into()),
        "LANG" => Some("C.UTF-8".into()),
        "SECRET_OF_THE_SERVER" => Some("hunter2".into()),
        _ => None,
    }
}

fn policy(text: &str) -> Result<LaunchPolicy, PolicyError> {
    super::file::parse(Path::new("policy.toml"), text, &lookup)
}

fn shorthand(names: &[&str], folders: Folders) -> Result<LaunchPolicy, PolicyError> {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    LaunchPolicy::allow_commands(&names, folders, &lookup)
}

fn server(command: &str, args: &[&str]) -> StdioServer {
    StdioServer {
        command: command.into(),
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        env: IndexMap::new(),
        env_file: None,
    }
}

fn refusal(policy: &LaunchPolicy, server: &StdioServer) -> String {
    let failure = policy.admit_stdio(server).unwrap_err();
    assert_eq!(failure.code, ErrorCode::LaunchDenied);
    failure.message
}

#[test]
fn nothing_is_allowed_until_the_operator_says_so() {
    let policy = LaunchPolicy::deny_all();
    let message = refusal(&policy, &server("sh", &[]));
    assert!(
        message.contains("\"sh\"") && message.contains("MCP_LAUNCH_POLICY"),
        "{message}"
    );
    assert!(policy.admit_url("http://127.0.0.1/").is_err());
}

#[test]
fn the_shorthand_allows_a_name_and_the_path_that_it_led_to_and_no_other() {
    let policy = shorthand(&["sh"], Folders::default()).unwrap();
    for command in ["sh", "/usr/bin/sh"] {
        let launch = policy
            .admit_stdio(&server(command, &["-c", "true"]))
            .unwrap();
        assert_eq!(launch.program, Path::new("/usr/bin/sh"));
    }
    for command in ["bash", "./sh", "/tmp/sh", "sh ", "../bin/sh", ""] {
        refusal(&policy, &server(command, &[]));
    }
    let error = shorthand(&["no-such-program"], Folders::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "command \"no-such-program\": there is no such program in PATH"
    );
}

#[test]
fn a_program_gets_the_named_few_variables_and_what_the_caller_may_set() {
    let policy = shorthand(&["sh"], Folders::default()).unwrap();
    let mut asked = server("sh", &[]);
    asked.env.insert("API_TOKEN".into(), Secret::new("t"));
    let launch = policy.admit_stdio(&asked).unwrap();
    let names: Vec<_> = launch.env.keys().map(String::as_str).collect();
    assert_eq!(names, ["API_TOKEN", "LANG", "PATH"]);
    asked
        .env
        .insert("LD_PRELOAD".into(), Secret::new("/hunter2.so"));
    let message = refusal(&policy, &asked);
    assert!(
        message.contains("`LD_PRELOAD`") && !message.contains("hunter2"),
        "{message}"
    );
}

#[test]
fn environment_files_need_a_directory() {
    let mut asked = server("sh", &[]);
    asked.env_file = Some("path/to/.env".into());
    let without = shorthand(&["sh"], Folders::default()).unwrap();
    assert!(refusal(&without, &asked).contains("MCP_ENV_DIR"));

    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(directory.path().join("path/to")).unwrap();
    std::fs::write(directory.path().join("path/to/.env"), "DB=x").unwrap();
    let folders = Folders {
        env_dir: Some(directory.path().to_owned()),
        work_dir: None,
    };
    let with = shorthand(&["sh"], folders).unwrap();
    assert_eq!(with.admit_stdio(&asked).unwrap().env["DB"].expose(), "x");
}

#[test]
fn a_file_limits_arguments_variables_and_environment_files() {
    let policy = policy(
        r#"
        [[command]]
        name = "shell"
        path = "/usr/bin/sh"
        args = ["-c", "*"]
        env = ["API_*"]
        env_files = ["shell/*"]
        set = { MODE = "strict" }
        "#,
    )
    .unwrap();
    let mut asked = server("shell", &["-c", "true"]);
    asked.env.insert("API_TOKEN".into(), Secret::new("t"));
    let launch = policy.admit_stdio(&asked).unwrap();
    assert_eq!(launch.env["MODE"].expose(), "strict");
    assert!(refusal(&policy, &server("shell", &["-x"])).contains("\"-c *\""));
    asked.env.insert("OTHER".into(), Secret::new("t"));
    assert!(refusal(&policy, &asked).contains("`OTHER`"));
    let mut asked = server("shell", &["-c", "true"]);
    asked.env_file = Some("other.env".into());
    refusal(&policy, &asked);
}

#[test]
fn urls_are_allowed_by_the_file_alone() {
    let policy = policy("[[url]]\nprefix = \"https://mcp.example.com/\"\n").unwrap();
    policy.admit_url("https://mcp.example.com/mcp").unwrap();
    let failure = policy
        .admit_url("https://evil.org/?token=hunter2")
        .unwrap_err();
    assert_eq!(failure.code, ErrorCode::LaunchDenied);
    assert!(failure.message.contains("https://evil.org") && !failure.message.contains("hunter2"));
}

#[test]
fn a_mistake_in_the_file_is_named_with_its_line() {
    for (text, expected) in [
        (
            "\n\ncomand = 1\n",
            "policy.toml, line 3: unknown field `comand`",
        ),
        (
            "[[command]]\nname = \"sh\"\nargz = []\n",
            "policy.toml, line 3: unknown field `argz`",
        ),
        ("x = \n", "policy.toml, line 1: "),
        (
            "[limits]\npages = 0\n",
            "`pages` is 0: allowed is 1 to 10000",
        ),
        (
            "\n[[command]]\nname = \"nope\"\n",
            "policy.toml, line 2: command \"nope\": there is no such program in PATH",
        ),
        (
            "[[command]]\nname = \"sh\"\nenv = [\"LD_PRELOAD\"]\n",
            "`env` names \"LD_PRELOAD\"",
        ),
        (
            "[[command]]\nname = \"sh\"\nargs = [\"../tools/*\"]\n",
            "\"../tools/*\" has a wildcard and `..`",
        ),
        (
            "[[command]]\nname = \"sh\"\nread = [\"etc\"]\n",
            "`read` names etc, which is no absolute path",
        ),
        (
            "[[command]]\nname = \"sh\"\nwrite = [\"/no/such/dir\"]\n",
            "`write` names /no/such/dir, which is no absolute path, or not there",
        ),
        (
            "[[command]]\nname = \"sh\"\nlimits = { concurrency = 2 }\n",
            "it stands in [limits]",
        ),
        (
            "[[command]]\nname = \"sh\"\nlimits = { memory_bytes = 1 }\n",
            "`memory_bytes` is 1: allowed is 16777216 to 1099511627776",
        ),
        (
            "run_as = { uid = 1, gid = 1, name = \"x\" }\n",
            "unknown field `name`",
        ),
        ("cgroup = \"/no/such/cgroup\"\n", "is no directory"),
        ("[[url]]\nprefix = \"ftp://x\"\n", "http and https"),
        (
            "env_dir = \"/no/such/dir\"\n",
            "/no/such/dir is no directory",
        ),
    ] {
        let error = policy(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text:?}: {error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn a_program_reaches_what_the_policy_gives_and_its_own_installation() {
    let policy = policy(
        r#"
        work_dir = "/var"
        limits = { processes = 7, open_files = 70 }
        run_as = { uid = 20000, gid = 20001 }
        [[command]]
        name = "sh"
        [[command]]
        name = "env"
        network = true
        unix_sockets = true
        read = ["/srv"]
        write = ["/tmp"]
        limits = { processes = 9, handshake_ms = 1000 }
        "#,
    )
    .unwrap();
    let plain = policy.admit_stdio(&server("sh", &[])).unwrap();
    assert!(!plain.reach.network && !plain.reach.unix_sockets && plain.reach.write.is_empty());
    for path in ["/usr/bin/sh", "/usr/bin", "/usr/lib", "/var"] {
        let path = Path::new(path).to_owned();
        assert!(plain.reach.read.contains(&path), "{path:?}");
    }
    assert_eq!((plain.limits.processes, plain.limits.open_files), (7, 70));
    assert_eq!(plain.run_as.unwrap().gid, 20_001);
    let open = policy.admit_stdio(&server("env", &[])).unwrap();
    assert!(open.reach.network && open.reach.unix_sockets);
    assert!(open.reach.read.contains(&"/srv".into()) && open.reach.write == [Path::new("/tmp")]);
    assert_eq!((open.limits.processes, open.limits.open_files), (9, 70));
    assert_eq!(open.limits.handshake.as_millis(), 1_000);

    let shorthand = shorthand(&["sh"], Folders::default()).unwrap();
    assert!(
        shorthand
            .admit_stdio(&server("sh", &[]))
            .unwrap()
            .reach
            .network
    );
}

#[test]
fn no_home_is_opened_by_a_program_that_lies_in_it() {
    let home = tempfile::tempdir().unwrap();
    let program = home.path().join("tool");
    std::fs::copy("/usr/bin/true", &program).unwrap();
    let policy = shorthand(&[program.to_str().unwrap()], Folders::default()).unwrap();
    let launch = policy
        .admit_stdio(&server(program.to_str().unwrap(), &[]))
        .unwrap();
    assert!(!launch.reach.read.contains(&home.path().to_owned()));
}

#[test]
fn a_program_whose_path_leads_elsewhere_later_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let link = directory.path().join("tool");
    std::os::unix::fs::symlink("/usr/bin/sh", &link).unwrap();
    let policy = shorthand(&[link.to_str().unwrap()], Folders::default()).unwrap();
    let asked = server(link.to_str().unwrap(), &[]);
    policy.admit_stdio(&asked).unwrap();
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("/usr/bin/env", &link).unwrap();
    assert!(refusal(&policy, &asked).contains("leads elsewhere"));
}
