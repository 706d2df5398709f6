//! One program that may be started.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mcp_core::Secret;
use mcp_core::text::bounded;
use rustix::fs::{Access, access};

use super::{Limits, PolicyError, SAFE_PATH, pattern};
use crate::layers::files::Reach;

/// Which variables a caller may set.
#[derive(Clone, Debug)]
pub(crate) enum Settable {
    /// Those whose names fit one of these patterns, and none that is reserved.
    Named(Vec<String>),
    /// All that are not reserved.
    AnyButReserved,
}

/// A program, where it is, and what a caller may choose about it.
#[derive(Clone, Debug)]
pub(crate) struct CommandRule {
    pub(crate) name: String,
    /// Absolute. It may be a symbolic link: a Python of a virtual environment or a multi-call program knows by the
    /// link what it is, so the link is what gets started.
    pub(crate) path: PathBuf,
    /// Where `path` led when the policy was read.
    target: PathBuf,
    /// `None` allows any arguments.
    pub(crate) args: Option<Vec<String>>,
    pub(crate) settable: Settable,
    /// `None` allows any file in the directory.
    pub(crate) env_files: Option<Vec<String>>,
    /// Variables that the operator sets.
    pub(crate) set: BTreeMap<String, Secret>,
    pub(crate) dir: Option<PathBuf>,
    /// Whether it may use TCP and UDP.
    pub(crate) network: bool,
    /// Whether it may use sockets that have a path.
    pub(crate) unix_sockets: bool,
    /// What it may read, beside the system and itself.
    pub(crate) read: Vec<PathBuf>,
    /// What it may write to, beside its private folder.
    pub(crate) write: Vec<PathBuf>,
    /// `None` where those of all hold.
    pub(crate) limits: Option<Limits>,
}

impl CommandRule {
    /// The program that `name` leads to: an absolute path, or a name in one of the folders of `search_path`.
    pub(crate) fn resolve(name: &str, search_path: &str) -> Result<Self, PolicyError> {
        let given = Path::new(name);
        if given.is_absolute() {
            // Callers may write the path or, as everywhere, the name alone.
            let file_name = given.file_name().and_then(|name| name.to_str());
            let mut rule = Self::at(name, given)?;
            rule.name = file_name.unwrap_or(name).to_owned();
            return Ok(rule);
        }
        let error = |what: String| PolicyError::Command {
            name: bounded(name, 200),
            what,
        };
        if name.is_empty() || name.contains('/') {
            return Err(error("give a name without `/` or an absolute path".into()));
        }
        std::env::split_paths(search_path)
            .filter(|folder| folder.is_absolute())
            .map(|folder| folder.join(name))
            .find(|path| is_program(path))
            .ok_or_else(|| error("there is no such program in PATH".into()))
            .and_then(|path| Self::at(name, &path))
    }

    /// The program at the absolute path `path`, called `name`.
    pub(crate) fn at(name: &str, path: &Path) -> Result<Self, PolicyError> {
        let error = |what: String| PolicyError::Command {
            name: bounded(name, 200),
            what,
        };
        if !path.is_absolute() {
            return Err(error(format!("{} is no absolute path", path.display())));
        }
        if !is_program(path) {
            return Err(error(format!(
                "{} is no file that can be executed",
                path.display()
            )));
        }
        let target = path
            .canonicalize()
            .map_err(|source| error(format!("{} leads nowhere: {source}", path.display())))?;
        Ok(Self {
            name: name.to_owned(),
            path: path.to_owned(),
            target,
            args: None,
            settable: Settable::Named(Vec::new()),
            env_files: None,
            set: BTreeMap::new(),
            dir: None,
            network: false,
            unix_sockets: false,
            read: Vec::new(),
            write: Vec::new(),
            limits: None,
        })
    }

    pub(crate) fn check_args(&self, args: &[String]) -> Result<(), String> {
        match &self.args {
            Some(patterns) if !pattern::all_fit(patterns, args) => Err(format!(
                "starting {:?} with these {} arguments is denied: the launch policy allows {:?}, where no wildcard stands for \
                 an option or `..`, and `*` not for `/`",
                self.name,
                args.len(),
                patterns.join(" ")
            )),
            _ => Ok(()),
        }
    }

    pub(crate) fn check_settable(&self, name: &str) -> Result<(), String> {
        let allowed = match &self.settable {
            Settable::AnyButReserved => true,
            Settable::Named(patterns) => {
                patterns.iter().any(|pattern| pattern::fits(pattern, name))
            }
        };
        if allowed {
            return Ok(());
        }
        Err(format!(
            "setting `{name}` for {:?} is denied: the operator allows variables with `env` for that command in the \
             launch policy",
            self.name
        ))
    }

    pub(crate) fn check_env_file(&self, file: &str) -> Result<(), String> {
        let allowed = self
            .env_files
            .as_ref()
            .is_none_or(|patterns| patterns.iter().any(|pattern| pattern::fits(pattern, file)));
        if allowed {
            return Ok(());
        }
        Err(format!(
            "`envFile` {:?} for {:?} is denied: the operator allows files with `env_files` for that command in the \
             launch policy",
            bounded(file, 100),
            self.name
        ))
    }

    /// Refuses a program whose path leads to another file than when the operator's policy was read.
    pub(crate) fn check_unchanged(&self) -> Result<(), String> {
        match self.path.canonicalize() {
            Ok(target) if target == self.target => Ok(()),
            _ => Err(format!(
                "starting {:?} is denied: its path leads elsewhere since the launch policy was read; if that is meant, \
                 change the policy's file, be it by a comment, or restart the server",
                self.name
            )),
        }
    }

    /// What the program reaches; its private folder is not known yet.
    pub(crate) fn reach(&self) -> Reach {
        let mut read = self.read.clone();
        for path in [&self.path, &self.target] {
            read.extend(installation(path));
        }
        read.extend(self.dir.clone());
        Reach {
            system: true,
            read,
            write: self.write.clone(),
            network: self.network,
            unix_sockets: self.unix_sockets,
            programs: true,
        }
    }

    /// `PATH` for the program: its own folder, so that `npx` finds its `node`, then the safe ones.
    pub(crate) fn search_path(&self) -> String {
        let folder = self.path.parent().and_then(Path::to_str);
        match folder {
            Some(folder) if !SAFE_PATH.split(':').any(|safe| safe == folder) => {
                format!("{folder}:{SAFE_PATH}")
            }
            _ => SAFE_PATH.to_owned(),
        }
    }
}

/// The program and what was installed with it, as far as that can be told by the usual names: a folder that has another
/// name may be someone's home.
fn installation(program: &Path) -> Vec<PathBuf> {
    let mut paths = vec![program.to_owned()];
    if let Some(folder) = program.parent()
        && let Some(prefix) = folder.parent()
        && (folder.ends_with("bin") || folder.ends_with("sbin"))
    {
        paths.push(folder.to_owned());
        let beside = ["lib", "lib64", "libexec", "pyvenv.cfg"];
        paths.extend(beside.map(|name| prefix.join(name)));
    }
    paths
}

fn is_program(path: &Path) -> bool {
    path.is_file() && access(path, Access::EXEC_OK).is_ok()
}
