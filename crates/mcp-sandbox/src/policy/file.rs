//! The policy as a TOML file. A field that is not known is an error: a typing error must not leave a rule out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mcp_core::Secret;
use serde::Deserialize;
use toml::Spanned;

use super::command::{CommandRule, Settable};
use super::url_rule::UrlRule;
use super::{LaunchPolicy, Limits, Lookup, PolicyError, base_env, pattern, variables};
use crate::layers::privileges::RunAs;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    env_dir: Option<PathBuf>,
    work_dir: Option<PathBuf>,
    env_passthrough: Option<Vec<String>>,
    run_as: Option<RunAs>,
    cgroup: Option<PathBuf>,
    #[serde(default)]
    limits: Option<Spanned<LimitFields>>,
    #[serde(default)]
    command: Vec<Spanned<CommandFields>>,
    #[serde(default)]
    url: Vec<Spanned<UrlFields>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitFields {
    handshake_ms: Option<u64>,
    output_bytes: Option<usize>,
    message_bytes: Option<usize>,
    stderr_bytes: Option<usize>,
    tools: Option<usize>,
    pages: Option<usize>,
    concurrency: Option<usize>,
    memory_bytes: Option<u64>,
    processes: Option<u64>,
    cpu_seconds: Option<u64>,
    open_files: Option<u64>,
    file_bytes: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CommandFields {
    name: String,
    path: Option<PathBuf>,
    args: Option<Vec<String>>,
    #[serde(default)]
    env: Vec<String>,
    env_files: Option<Vec<String>>,
    #[serde(default)]
    set: BTreeMap<String, String>,
    work_dir: Option<PathBuf>,
    #[serde(default)]
    network: bool,
    #[serde(default)]
    unix_sockets: bool,
    #[serde(default)]
    read: Vec<PathBuf>,
    #[serde(default)]
    write: Vec<PathBuf>,
    limits: Option<LimitFields>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UrlFields {
    prefix: String,
}

/// Reads `text`, the content of the file `path`.
pub(crate) fn parse(
    path: &Path,
    text: &str,
    lookup: Lookup<'_>,
) -> Result<LaunchPolicy, PolicyError> {
    let invalid = |at: usize, what: String| PolicyError::Invalid {
        path: path.to_owned(),
        line: text[..at.min(text.len())].matches('\n').count() + 1,
        what,
    };
    let document: Document = toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        invalid(at, error.message().replace('\n', " "))
    })?;
    let search_path = lookup("PATH").unwrap_or_default();
    let limits = match document.limits {
        None => Limits::default(),
        Some(spanned) => {
            let at = spanned.span().start;
            limits(spanned.into_inner(), &Limits::default()).map_err(|what| invalid(at, what))?
        }
    };

    let mut commands: Vec<CommandRule> = Vec::with_capacity(document.command.len());
    for spanned in document.command {
        let at = spanned.span().start;
        let rule = command(
            spanned.into_inner(),
            &search_path,
            document.work_dir.as_ref(),
            &limits,
        )
        .map_err(|what| invalid(at, what))?;
        if commands.iter().any(|other| other.name == rule.name) {
            return Err(invalid(
                at,
                format!("command {:?} stands here twice", rule.name),
            ));
        }
        commands.push(rule);
    }
    let urls = document
        .url
        .into_iter()
        .map(|spanned| {
            let at = spanned.span().start;
            UrlRule::parse(&spanned.get_ref().prefix)
                .map_err(|what| invalid(at, format!("`prefix`: {what}")))
        })
        .collect::<Result<_, _>>()?;
    let passthrough = document
        .env_passthrough
        .unwrap_or_else(|| vec!["LANG".into()]);
    let policy = LaunchPolicy {
        commands,
        urls,
        env_dir: document.env_dir,
        base_env: base_env(&passthrough, lookup),
        limits,
        run_as: document.run_as,
        cgroup: document.cgroup,
    };
    policy.check_directories()?;
    Ok(policy)
}

fn command(
    fields: CommandFields,
    search_path: &str,
    work_dir: Option<&PathBuf>,
    general: &Limits,
) -> Result<CommandRule, String> {
    let rule = match &fields.path {
        Some(path) => CommandRule::at(&fields.name, path),
        None => CommandRule::resolve(&fields.name, search_path),
    };
    let mut rule = rule.map_err(|error| error.to_string())?;
    for name in &fields.env {
        let plain = name.replace('*', "x");
        if !variables::is_well_formed(&plain) {
            return Err(format!("`env` names {name:?}, which is no variable's name"));
        }
        if variables::is_reserved(name) {
            return Err(format!(
                "`env` names {name:?}: a caller could make the program run something else with it; a fixed value goes \
                 into `set`"
            ));
        }
    }
    if let Some(name) = fields
        .set
        .keys()
        .find(|name| !variables::is_well_formed(name))
    {
        return Err(format!("`set` names {name:?}, which is no variable's name"));
    }
    let mut patterns = fields.args.iter().chain(&fields.env_files).flatten();
    if let Some(pattern) = patterns.find(|one| pattern::is_vain(one)) {
        return Err(format!(
            "the pattern {pattern:?} has a wildcard and `..`: nothing would fit it, write the path that it leads to"
        ));
    }
    rule.args = fields.args;
    rule.settable = Settable::Named(fields.env);
    rule.env_files = fields.env_files;
    rule.set = fields
        .set
        .into_iter()
        .map(|(name, value)| (name, Secret::new(value)))
        .collect();
    rule.dir = fields.work_dir.or_else(|| work_dir.cloned());
    for (what, paths) in [("read", &fields.read), ("write", &fields.write)] {
        if let Some(path) = paths
            .iter()
            .find(|path| !path.is_absolute() || !path.exists())
        {
            return Err(format!(
                "`{what}` names {}, which is no absolute path, or not there",
                path.display()
            ));
        }
    }
    rule.read = fields.read;
    rule.write = fields.write;
    rule.network = fields.network;
    rule.unix_sockets = fields.unix_sockets;
    if let Some(own) = fields.limits {
        if own.concurrency.is_some() {
            return Err("`concurrency` is for all programs together: it stands in [limits]".into());
        }
        rule.limits = Some(limits(own, general)?);
    }
    Ok(rule)
}

/// What `fields` say, and `general` where they say nothing.
fn limits(fields: LimitFields, general: &Limits) -> Result<Limits, String> {
    fn within<T: PartialOrd + std::fmt::Display>(
        name: &str,
        value: Option<T>,
        default: T,
        [min, max]: [T; 2],
    ) -> Result<T, String> {
        match value {
            None => Ok(default),
            Some(value) if value >= min && value <= max => Ok(value),
            Some(value) => Err(format!("`{name}` is {value}: allowed is {min} to {max}")),
        }
    }
    macro_rules! field {
        ($name:ident, $bounds:expr) => {
            within(stringify!($name), fields.$name, general.$name, $bounds)?
        };
    }
    let handshake_ms = u64::try_from(general.handshake.as_millis()).unwrap_or(u64::MAX);
    let handshake_ms = within(
        "handshake_ms",
        fields.handshake_ms,
        handshake_ms,
        [100, 600_000],
    )?;
    Ok(Limits {
        handshake: Duration::from_millis(handshake_ms),
        output_bytes: field!(output_bytes, [1_024, 256 << 20]),
        message_bytes: field!(message_bytes, [1_024, 64 << 20]),
        stderr_bytes: field!(stderr_bytes, [0, 16 << 20]),
        tools: field!(tools, [1, 100_000]),
        pages: field!(pages, [1, 10_000]),
        concurrency: field!(concurrency, [1, 1_024]),
        memory_bytes: field!(memory_bytes, [16 << 20, 1 << 40]),
        processes: field!(processes, [1, 100_000]),
        cpu_seconds: field!(cpu_seconds, [1, 86_400]),
        open_files: field!(open_files, [16, 1_000_000]),
        file_bytes: field!(file_bytes, [0, 1 << 40]),
    })
}
