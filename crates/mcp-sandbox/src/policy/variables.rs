//! Names of environment variables that no caller and no environment file may set: they would make an allowed program
//! load or run something else.

use mcp_core::{ErrorCode, Failure};

/// Longest name, in bytes.
const NAME_MAX: usize = 128;
/// Longest value, in bytes.
pub(crate) const VALUE_MAX: usize = 32 * 1024;
/// Most variables of one program.
pub(crate) const VARIABLES_MAX: usize = 128;

/// Whole names, in capitals.
const NAMES: &[&str] = &[
    "PATH",
    "HOME",
    "TMPDIR",
    "SHELL",
    "IFS",
    "ENV",
    "BASH_ENV",
    "BASHOPTS",
    "SHELLOPTS",
    "PS4",
    "PROMPT_COMMAND",
    "CDPATH",
    "ZDOTDIR",
    "NODE_OPTIONS",
    "NODE_PATH",
    "PERLLIB",
    "CLASSPATH",
    "JAVA_TOOL_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "_JAVA_OPTIONS",
    "PHPRC",
    "PHP_INI_SCAN_DIR",
    "GCONV_PATH",
    "LOCPATH",
    "NLSPATH",
    "HOSTALIASES",
    "RESOLV_HOST_CONF",
    "GLIBC_TUNABLES",
    "OPENSSL_CONF",
    "OPENSSL_MODULES",
    "OPENSSL_ENGINES",
    "SSLKEYLOGFILE",
    "TAR_OPTIONS",
    "LESSOPEN",
    "LESSCLOSE",
    "NODE_REPL_EXTERNAL_MODULE",
    "XDG_CONFIG_HOME",
    "XDG_CONFIG_DIRS",
    "XDG_DATA_HOME",
    "XDG_DATA_DIRS",
    "ODBCINI",
    "ODBCSYSINI",
    "ODBCINSTINI",
    "JAVA_OPTS",
    "JAVA_HOME",
    "ELIXIR_ERL_OPTIONS",
    "R_PROFILE",
    "R_ENVIRON",
    "JULIA_LOAD_PATH",
    "JULIA_DEPOT_PATH",
    "MAKEFLAGS",
    "GNUMAKEFLAGS",
    "CC",
    "CXX",
    "EDITOR",
    "VISUAL",
    "PAGER",
    "BROWSER",
];

/// Beginnings of names, in capitals.
const PREFIXES: &[&str] = &[
    "LD_",
    "DYLD_",
    "BASH_FUNC_",
    "PYTHON",
    "PERL5",
    "RUBY",
    "GEM_",
    "BUNDLE_",
    "LUA_",
    "MALLOC_",
    "NPM_",
    "UV_",
    "PIP_",
    "PIPX_",
    "BUN_",
    "DENO_",
    "CARGO_",
    "RUSTC",
    "RUSTUP_",
    "GIT_",
    "CORECLR_",
    "COR_",
    "DOCKER_",
    "DOTNET_",
    "ERL_",
    "MAVEN_",
    "GRADLE_",
    "YARN_",
    "PNPM_",
    "COREPACK_",
    "TS_NODE_",
    "MCP_LAUNCH_",
];

/// Whether only the operator may set `name`. Capitals or not makes no difference: some programs read both.
pub(crate) fn is_reserved(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    NAMES.contains(&name.as_str()) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Whether `name` is one that a program can find: letters, digits and `_`, no digit first.
pub(crate) fn is_well_formed(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_MAX
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Refuses a variable that no policy can allow. `origin` says where it stands; its value is not shown.
pub(crate) fn check(name: &str, value: &str, origin: &str) -> Result<(), Failure> {
    let denied = |why: String| Err(Failure::new(ErrorCode::LaunchDenied, why));
    if !is_well_formed(name) {
        return denied(format!(
            "{origin} sets {name:?}: a variable's name has letters, digits and `_` only, {NAME_MAX} at most"
        ));
    }
    if is_reserved(name) {
        return denied(format!(
            "{origin} sets `{name}`, which could make the program load or run something else: only the operator may \
             set it, with `set` for that command in the launch policy"
        ));
    }
    if value.len() > VALUE_MAX || value.contains('\0') {
        return denied(format!(
            "{origin} sets `{name}` to a value that is longer than {VALUE_MAX} bytes or has a zero byte"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{check, is_reserved};

    #[test]
    fn what_changes_the_code_that_runs_is_reserved() {
        for name in [
            "LD_PRELOAD",
            "ld_preload",
            "DYLD_INSERT_LIBRARIES",
            "PATH",
            "BASH_ENV",
            "ENV",
            "PYTHONPATH",
            "PYTHONSTARTUP",
            "NODE_OPTIONS",
            "NODE_PATH",
            "GLIBC_TUNABLES",
            "IFS",
            "PERL5LIB",
            "PERL5OPT",
            "RUBYOPT",
            "JAVA_TOOL_OPTIONS",
            "npm_config_script_shell",
            "GIT_SSH_COMMAND",
            "BASH_FUNC_ls%%",
        ] {
            assert!(is_reserved(name), "{name}");
        }
        for name in [
            "API_TOKEN",
            "DATABASE_URL",
            "LANG",
            "MY_PATH",
            "NODE_ENV",
            "ENVIRONMENT",
        ] {
            assert!(!is_reserved(name), "{name}");
        }
    }

    #[test]
    fn a_refusal_names_the_variable_and_not_its_value() {
        for (name, value) in [
            ("LD_PRELOAD", "hunter2"),
            ("A=B", "hunter2"),
            ("A", "hunter2\0"),
        ] {
            let message = check(name, value, "`env`").unwrap_err().message;
            assert!(
                message.contains(name) && !message.contains("hunter2"),
                "{message}"
            );
        }
        check("API_TOKEN", "x", "`env`").unwrap();
    }
}
