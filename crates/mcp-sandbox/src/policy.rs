//! The launch policy: what `server_initialize` may start or connect to. Nothing, until the operator says otherwise.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use mcp_core::text::bounded;
use mcp_core::{ErrorCode, Failure, Secret, StdioServer};
use url::Url;

pub mod limits;

mod command;
mod file;
mod pattern;
mod url_rule;
pub(crate) mod variables;

#[cfg(test)]
mod tests;

pub use limits::Limits;

use crate::env_file;
use crate::layers::files::Reach;
use crate::layers::privileges::RunAs;
use command::{CommandRule, Settable};
use url_rule::UrlRule;
use variables::VARIABLES_MAX;

/// What every program gets as `PATH`, behind the folder that it lies in itself.
const SAFE_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Most arguments of one program.
const ARGS_MAX: usize = 256;
/// All arguments together, in bytes.
const ARGS_BYTES_MAX: usize = 64 * 1024;
/// Who can change a denial.
const HOW_TO_ALLOW: &str =
    "the operator allows programs with MCP_LAUNCH_POLICY or MCP_ALLOWED_COMMANDS";

/// Where values for the environment of programs come from: the server's own environment, or a test.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Why a policy can't be used; one line.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The file can't be read.
    #[error("{path} can't be read: {source}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file says something that is not understood.
    #[error("{path}, line {line}: {what}", path = path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// A program that the policy names is not there.
    #[error("command {name:?}: {what}")]
    Command {
        /// Its name.
        name: String,
        /// What is wrong.
        what: String,
    },
    /// A directory that the policy names is not there.
    #[error("{what} {path} is no directory", path = path.display())]
    Directory {
        /// What it is for.
        what: &'static str,
        /// Where it should be.
        path: PathBuf,
    },
}

/// What may be started and connected to, decided before anything is.
#[derive(Clone, Debug, Default)]
pub struct LaunchPolicy {
    commands: Vec<CommandRule>,
    urls: Vec<UrlRule>,
    env_dir: Option<PathBuf>,
    /// Variables that every program gets.
    base_env: BTreeMap<String, Secret>,
    limits: Limits,
    /// Who programs run as where the server is root.
    run_as: Option<RunAs>,
    /// Where each program gets a cgroup.
    cgroup: Option<PathBuf>,
}

/// A program that may be started now, and exactly how. Only [`LaunchPolicy::admit_stdio`] makes one.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The name under which the policy knows the program.
    pub command: String,
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<String>,
    pub(crate) env: BTreeMap<String, Secret>,
    pub(crate) dir: Option<PathBuf>,
    pub(crate) reach: Reach,
    pub(crate) limits: Limits,
    pub(crate) run_as: Option<RunAs>,
    pub(crate) cgroup: Option<PathBuf>,
    /// The names in `env` whose values are nobody else's business.
    secret: Vec<String>,
}

impl Launch {
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &Secret> {
        self.secret.iter().filter_map(|name| self.env.get(name))
    }

    /// Adds trace headers as variables, unless the policy or the caller has set them.
    pub(crate) fn tell(&mut self, trace: &[(String, String)]) {
        for (name, value) in trace {
            let value = || Secret::new(value.as_str());
            self.env
                .entry(name.to_ascii_uppercase())
                .or_insert_with(value);
        }
    }
}

/// The folders of a shorthand policy.
#[derive(Clone, Debug, Default)]
pub struct Folders {
    /// Where environment files lie; without it there are none.
    pub env_dir: Option<PathBuf>,
    /// The working directory of programs; without it each has a private, empty one.
    pub work_dir: Option<PathBuf>,
}

/// Largest policy file, in bytes: the path may name a device that never ends.
const FILE_MAX: u64 = 1024 * 1024;

fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?
        .take(FILE_MAX + 1)
        .read_to_string(&mut text)?;
    if text.len() as u64 > FILE_MAX {
        let what = format!("larger than {FILE_MAX} bytes");
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, what));
    }
    Ok(text)
}

impl LaunchPolicy {
    /// Nothing may be started and nothing connected to.
    pub fn deny_all() -> Self {
        Self::default()
    }

    /// The policy in a TOML file.
    ///
    /// # Errors
    /// When it can't be read, has a field that is not known, or names a program or directory that is not there.
    pub fn from_file(path: &Path, lookup: Lookup<'_>) -> Result<Self, PolicyError> {
        let text = read(path).map_err(|source| PolicyError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        Self::from_text(path, &text, lookup)
    }

    /// The policy in `text`, which is that of the file `path`.
    ///
    /// # Errors
    /// As [`LaunchPolicy::from_file`].
    pub fn from_text(path: &Path, text: &str, lookup: Lookup<'_>) -> Result<Self, PolicyError> {
        file::parse(path, text, lookup)
    }

    /// The shorthand policy: these programs, with any arguments and with the network, which those that fetch what they
    /// run (`uvx`, `npx`) can't do without. Each name is looked up once, now, in the `PATH` that
    /// `lookup` gives; what the name leads to later makes no difference.
    ///
    /// # Errors
    /// When a program or directory is not there.
    pub fn allow_commands(
        names: &[String],
        folders: Folders,
        lookup: Lookup<'_>,
    ) -> Result<Self, PolicyError> {
        let search_path = lookup("PATH").unwrap_or_default();
        let commands = names
            .iter()
            .map(|name| {
                let mut rule = CommandRule::resolve(name, &search_path)?;
                rule.settable = Settable::AnyButReserved;
                rule.network = true;
                rule.dir = folders.work_dir.clone();
                Ok(rule)
            })
            .collect::<Result<_, PolicyError>>()?;
        let policy = Self {
            commands,
            env_dir: folders.env_dir,
            base_env: base_env(&["LANG".into()], lookup),
            ..Self::default()
        };
        policy.check_directories()?;
        Ok(policy)
    }

    /// The bounds of time and size.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What all programs at once may have of memory, if they are those that may have most; none where none may be started.
    pub fn memory_bytes_in_all(&self) -> Option<u64> {
        let of_each = self
            .commands
            .iter()
            .map(|rule| rule.limits.as_ref().unwrap_or(&self.limits).memory_bytes);
        Some(
            of_each
                .max()?
                .saturating_mul(self.limits.concurrency as u64),
        )
    }

    pub(crate) fn run_as(&self) -> Option<RunAs> {
        self.run_as
    }

    pub(crate) fn cgroup(&self) -> Option<&Path> {
        self.cgroup.as_deref()
    }

    /// The names of the programs that may be started.
    pub fn command_names(&self) -> impl Iterator<Item = &str> {
        self.commands.iter().map(|rule| rule.name.as_str())
    }

    /// Whether `server` may be started, and exactly how. Reads the environment file, if it names one.
    ///
    /// # Errors
    /// [`ErrorCode::LaunchDenied`], naming what was denied and who can change that.
    pub fn admit_stdio(&self, server: &StdioServer) -> Result<Launch, Failure> {
        let shown = bounded(&server.command, 100);
        let rule = self.rule_for(&server.command).ok_or_else(|| {
            denied(if self.commands.is_empty() {
                format!("starting {shown:?} is denied: no program may be started; {HOW_TO_ALLOW}")
            } else {
                format!(
                    "starting {shown:?} is denied: it is not in the launch policy; {HOW_TO_ALLOW}"
                )
            })
        })?;
        check_args(&server.args)?;
        rule.check_args(&server.args).map_err(denied)?;
        rule.check_unchanged().map_err(denied)?;
        let (env, secret) = self.environment(rule, server)?;
        Ok(Launch {
            command: rule.name.clone(),
            program: rule.path.clone(),
            args: server.args.clone(),
            env,
            dir: rule.dir.clone(),
            reach: rule.reach(),
            limits: rule.limits.as_ref().unwrap_or(&self.limits).clone(),
            run_as: self.run_as,
            cgroup: self.cgroup.clone(),
            secret,
        })
    }

    /// Whether a server behind `url` may be connected to.
    ///
    /// # Errors
    /// [`ErrorCode::LaunchDenied`].
    pub fn admit_url(&self, url: &str) -> Result<Url, Failure> {
        let parsed = url_rule::parse(url).map_err(|why| denied(format!("`url`: {why}")))?;
        if self.urls.iter().any(|rule| rule.covers(&parsed)) {
            return Ok(parsed);
        }
        let origin = bounded(&parsed.origin().ascii_serialization(), 200);
        Err(denied(format!(
            "connecting to {origin} is denied: no `[[url]]` in the launch policy covers that URL; the operator \
             allows URLs in the file that MCP_LAUNCH_POLICY names"
        )))
    }

    fn rule_for(&self, command: &str) -> Option<&CommandRule> {
        self.commands
            .iter()
            .find(|rule| rule.name == command)
            .or_else(|| {
                let path = Path::new(command);
                self.commands
                    .iter()
                    .find(|rule| path.is_absolute() && rule.path == path)
            })
    }

    /// The whole environment of the program, and the names in it that hold secrets. Later ones win: the named few, the
    /// environment file, the caller's, the operator's own.
    fn environment(
        &self,
        rule: &CommandRule,
        server: &StdioServer,
    ) -> Result<(BTreeMap<String, Secret>, Vec<String>), Failure> {
        let mut env = self.base_env.clone();
        env.insert("PATH".into(), Secret::new(rule.search_path()));
        let mut secret = Vec::new();
        if let Some(file) = &server.env_file {
            let directory = self.env_dir.as_deref().ok_or_else(|| {
                denied(
                    "`envFile` is denied: the operator has named no directory of environment files (`env_dir` in the \
                     launch policy, or MCP_ENV_DIR)",
                )
            })?;
            rule.check_env_file(file).map_err(denied)?;
            for (name, value) in env_file::read(directory, file)? {
                secret.push(name.clone());
                env.insert(name, value);
            }
        }
        if server.env.len() > VARIABLES_MAX {
            return Err(denied(format!(
                "`env` sets {} variables, {VARIABLES_MAX} are allowed",
                server.env.len()
            )));
        }
        for (name, value) in &server.env {
            variables::check(name, value.expose(), "`env`")?;
            rule.check_settable(name).map_err(denied)?;
            secret.push(name.clone());
            env.insert(name.clone(), value.clone());
        }
        for (name, value) in &rule.set {
            secret.push(name.clone());
            env.insert(name.clone(), value.clone());
        }
        Ok((env, secret))
    }

    fn check_directories(&self) -> Result<(), PolicyError> {
        let working = self.commands.iter().filter_map(|rule| rule.dir.as_ref());
        let named = working.map(|path| ("the working directory", path)).chain(
            self.env_dir
                .iter()
                .map(|path| ("the directory of environment files", path))
                .chain(self.cgroup.iter().map(|path| ("the cgroup", path))),
        );
        for (what, path) in named {
            if !path.is_absolute() || !path.is_dir() {
                let path = path.clone();
                return Err(PolicyError::Directory { what, path });
            }
        }
        Ok(())
    }
}

fn denied(what: impl AsRef<str>) -> Failure {
    Failure::new(ErrorCode::LaunchDenied, what)
}

fn check_args(args: &[String]) -> Result<(), Failure> {
    let bytes: usize = args.iter().map(String::len).sum();
    if args.len() > ARGS_MAX || bytes > ARGS_BYTES_MAX {
        return Err(denied(format!(
            "`args` has {} arguments with {bytes} bytes, {ARGS_MAX} with {ARGS_BYTES_MAX} are allowed",
            args.len()
        )));
    }
    if args.iter().any(|arg| arg.contains('\0')) {
        return Err(denied("`args` has a zero byte"));
    }
    Ok(())
}

/// The variables of `names` that the server itself has.
fn base_env(names: &[String], lookup: Lookup<'_>) -> BTreeMap<String, Secret> {
    names
        .iter()
        .filter_map(|name| Some((name.clone(), Secret::new(lookup(name)?))))
        .collect()
}
