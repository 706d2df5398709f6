//! The policy as a TOML file. A field that is not known is an error: a typing error must not leave a rule out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mcp_core::Secret;
use serde::Deserialize;
use toml::Spanned;

use super::command::{CommandRule, Settable};
use super::url_rule::UrlRule;
use super::{LaunchPolicy, Limits, Lookup, PolicyError, base_env, variables};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    env_dir: Option<PathBuf>,
    work_dir: Option<PathBuf>,
    env_passthrough: Option<Vec<String>>,
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

    let mut commands: Vec<CommandRule> = Vec::with_capacity(document.command.len());
    for spanned in document.command {
        let at = spanned.span().start;
        let rule = command(
            spanned.into_inner(),
            &search_path,
            document.work_dir.as_ref(),
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
    let limits = match document.limits {
        None => Limits::default(),
        Some(spanned) => {
            let at = spanned.span().start;
            limits(spanned.into_inner()).map_err(|what| invalid(at, what))?
        }
    };
    let passthrough = document
        .env_passthrough
        .unwrap_or_else(|| vec!["LANG".into()]);
    let policy = LaunchPolicy {
        commands,
        urls,
        env_dir: document.env_dir,
        base_env: base_env(&passthrough, lookup),
        limits,
    };
    policy.check_directories()?;
    Ok(policy)
}

fn command(
    fields: CommandFields,
    search_path: &str,
    work_dir: Option<&PathBuf>,
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
    rule.args = fields.args;
    rule.settable = Settable::Named(fields.env);
    rule.env_files = fields.env_files;
    rule.set = fields
        .set
        .into_iter()
        .map(|(name, value)| (name, Secret::new(value)))
        .collect();
    rule.dir = fields.work_dir.or_else(|| work_dir.cloned());
    Ok(rule)
}

fn limits(fields: LimitFields) -> Result<Limits, String> {
    fn within<T: PartialOrd + std::fmt::Display>(
        name: &str,
        value: Option<T>,
        default: T,
        min: T,
        max: T,
    ) -> Result<T, String> {
        match value {
            None => Ok(default),
            Some(value) if value >= min && value <= max => Ok(value),
            Some(value) => Err(format!("`{name}` is {value}: allowed is {min} to {max}")),
        }
    }
    let default = Limits::default();
    let handshake_ms = within("handshake_ms", fields.handshake_ms, 30_000, 100, 600_000)?;
    let mib = 1 << 20;
    Ok(Limits {
        handshake: Duration::from_millis(handshake_ms),
        output_bytes: within(
            "output_bytes",
            fields.output_bytes,
            default.output_bytes,
            1_024,
            256 * mib,
        )?,
        message_bytes: within(
            "message_bytes",
            fields.message_bytes,
            default.message_bytes,
            1_024,
            64 * mib,
        )?,
        stderr_bytes: within(
            "stderr_bytes",
            fields.stderr_bytes,
            default.stderr_bytes,
            0,
            16 * mib,
        )?,
        tools: within("tools", fields.tools, default.tools, 1, 100_000)?,
        pages: within("pages", fields.pages, default.pages, 1, 10_000)?,
        concurrency: within(
            "concurrency",
            fields.concurrency,
            default.concurrency,
            1,
            1_024,
        )?,
    })
}
