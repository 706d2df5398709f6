//! A real Postgres server.

use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::geteuid;
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::{Process, eventually, fetched, free_port};

const PATIENCE: Duration = Duration::from_secs(60);
/// What it prints when it takes connections.
const READY: &str = "database system is ready to accept connections";
const USER: &str = "registry";
/// The ids of `nobody`, as whom it runs where the tests run as root: it refuses to run as root.
const NOBODY: u32 = 65_534;

/// A Postgres server on loopback with data of its own. It ends when this is dropped, and when the test process ends.
pub struct Postgres {
    process: Process,
    port: u16,
    folder: TempDir,
    databases: AtomicU32,
}

impl Postgres {
    /// What its user has to say; never to be seen in a log or an error.
    pub const PASSWORD: &str = "not-to-be-seen-7Jw2";

    /// The one server of this test process, started at first use. Make databases with
    /// [`new_database`](Postgres::new_database).
    pub async fn shared() -> &'static Postgres {
        static SHARED: OnceCell<Postgres> = OnceCell::const_new();
        SHARED.get_or_init(Postgres::start).await
    }

    /// Starts one on a port of its own.
    ///
    /// # Panics
    ///
    /// When it does not come up; with what it printed.
    pub async fn start() -> Self {
        let folder = TempDir::with_prefix("mcp-testkit-postgres-").expect("a temporary folder");
        initialize(folder.path());
        loop {
            let port = free_port();
            let mut process = run(port, folder.path());
            if comes_up(&mut process).await {
                return Self {
                    process,
                    port,
                    folder,
                    databases: AtomicU32::new(0),
                };
            }
            // Another process was faster than it at its port.
            let lost = process.printed("Address already in use");
            assert!(lost, "{}", process.describe("it ended"));
        }
    }

    /// Makes an empty database; its address, as `DATABASE_URL` wants it.
    ///
    /// # Panics
    ///
    /// When the server does not do it.
    pub async fn new_database(&self) -> String {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{number}");
        self.execute("postgres", &format!("CREATE DATABASE {name}"))
            .await;
        self.url(&name)
    }

    /// The address of a database, whether it is there or not.
    pub fn url(&self, database: &str) -> String {
        let (password, port) = (Self::PASSWORD, self.port);
        format!("postgres://{USER}:{password}@127.0.0.1:{port}/{database}")
    }

    /// Runs a statement and answers what it gave: rows in lines, columns parted by `|`.
    ///
    /// # Panics
    ///
    /// When the server refuses it.
    pub async fn execute(&self, database: &str, statement: &str) -> String {
        let mut psql = Command::new(fetched::postgres_programs().join("psql"));
        psql.args(["-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", statement])
            .arg(self.url(database))
            .stdin(Stdio::null());
        let ran = tokio::task::spawn_blocking(move || psql.output());
        let output = ran.await.expect("it does not panic").expect("psql starts");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{statement}: {errors}");
        String::from_utf8_lossy(&output.stdout)
            .trim_end()
            .to_owned()
    }

    /// Ends it as an operator does who is in a hurry: connections are cut, the data stay.
    pub async fn stop(&mut self) {
        self.process.interrupt();
        self.process.wait_exit(PATIENCE).await;
    }

    /// Starts it again after [`stop`](Postgres::stop), on the same port, with its data.
    ///
    /// # Panics
    ///
    /// When it does not come up.
    pub async fn start_again(&mut self) {
        self.process = run(self.port, self.folder.path());
        let is_up = comes_up(&mut self.process).await;
        assert!(is_up, "{}", self.process.describe("it ended"));
    }
}

/// Makes its data, for a user with a password. The order of text is that of a language, as in most databases, and not
/// that of bytes: what relies on the one or the other shows.
fn initialize(folder: &Path) {
    let password = folder.join("password");
    std::fs::write(&password, Postgres::PASSWORD).expect("the folder can be written");
    if geteuid().is_root() {
        for path in [folder, &password] {
            chown(path, Some(NOBODY), Some(NOBODY)).expect("root gives files away");
        }
    }
    let (program, arguments) = unprivileged("initdb");
    let help = Command::new(fetched::postgres_programs().join("initdb"))
        .arg("--help")
        .output()
        .expect("initdb starts");
    // Since Postgres 15.
    let has_languages = String::from_utf8_lossy(&help.stdout).contains("--icu-locale");
    let language = ["--locale-provider", "icu", "--icu-locale", "en"];
    let output = Command::new(program)
        .args(arguments)
        .args(language.iter().filter(|_| has_languages))
        .args(["--username", USER, "--auth", "scram-sha-256", "--no-sync"])
        .args(["--encoding", "UTF8", "--locale", "C.UTF-8"])
        .arg("--pwfile")
        .arg(&password)
        .arg("--pgdata")
        .arg(folder.join("data"))
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .expect("initdb starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "initdb: {errors}");
}

fn run(port: u16, folder: &Path) -> Process {
    let (program, arguments) = unprivileged("postgres");
    let data = folder.join("data");
    Process::builder(program)
        .args(arguments)
        .args(["-D".as_ref(), data.as_os_str()])
        .args(["-p", &port.to_string()])
        .args(["-c", "listen_addresses=127.0.0.1"])
        .args(["-c", "unix_socket_directories="])
        // Nothing has to outlive the machine.
        .args(["-c", "fsync=off"])
        .current_dir(folder)
        .owning(folder)
        .named("postgres")
        .start()
}

async fn comes_up(process: &mut Process) -> bool {
    eventually(PATIENCE, async || {
        if process.exited().is_some() {
            return Ok(false);
        }
        if process.printed(READY) {
            return Ok(true);
        }
        Err(process.describe("it does not take connections"))
    })
    .await
}

/// How one of its programs is run by a user that it accepts.
fn unprivileged(name: &str) -> (PathBuf, Vec<String>) {
    let program = fetched::postgres_programs().join(name);
    if !geteuid().is_root() {
        return (program, Vec::new());
    }
    let nobody = NOBODY.to_string();
    let arguments = ["--reuid", &nobody, "--regid", &nobody, "--clear-groups"];
    let mut arguments: Vec<_> = arguments.map(str::to_owned).into();
    arguments.push(program.display().to_string());
    ("setpriv".into(), arguments)
}
