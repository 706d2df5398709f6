//! Where the database is: what `DATABASE_URL` says, or a file of this user.

use std::fmt;
use std::path::{Path, PathBuf};

use mcp_core::Secret;
use url::Url;

/// What `DATABASE_URL` may be.
pub const ALLOWED: &str = "postgres://[user[:password]@]host[:port]/database, with ?sslmode=require for TLS, or \
     sqlite:/path/to/file";
/// The file's name where only a folder is known.
const FILE: &str = "mcp-hybrid/registry.db";

/// A database.
#[derive(Clone, PartialEq, Eq)]
pub enum Place {
    /// A file, which is made if it is not there.
    Sqlite(PathBuf),
    /// The same, in the folder of this user's state, which is made as well: nobody has named it.
    Implied(PathBuf),
    /// A server; the URL may hold a password.
    Postgres(Secret),
    /// Nowhere: nobody has named a place, and this user has no folder for it.
    Nowhere,
}

impl Place {
    /// Reads `DATABASE_URL`; nothing for what is none, see [`ALLOWED`].
    pub fn parse(url: &Secret) -> Option<Self> {
        let text = url.expose();
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            let is_file = !path.is_empty() && !path.ends_with('/') && !path.contains([':', '?']);
            return is_file.then(|| Self::Sqlite(path.into()));
        }
        let parsed = Url::parse(text).ok()?;
        let is_postgres = matches!(parsed.scheme(), "postgres" | "postgresql");
        (is_postgres && parsed.has_host()).then(|| Self::Postgres(url.clone()))
    }

    /// The file in the folder for the state of a service (`$STATE_DIRECTORY`, which systemd sets), or of a user
    /// (`$XDG_STATE_HOME`, or `.local/state` in `$HOME`).
    pub fn implied(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let absolute = |path: String| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
        let service = lookup("STATE_DIRECTORY").and_then(absolute);
        let user = || lookup("XDG_STATE_HOME").and_then(absolute);
        let home = || Some(lookup("HOME").and_then(absolute)?.join(".local/state"));
        match service.or_else(user).or_else(home) {
            Some(folder) => Self::Implied(folder.join(FILE)),
            None => Self::Nowhere,
        }
    }

    /// Whether somebody has named it.
    pub fn is_named(&self) -> bool {
        matches!(self, Self::Sqlite(_) | Self::Postgres(_))
    }

    /// The file, for SQLite.
    pub(crate) fn file(&self) -> Option<&Path> {
        match self {
            Self::Sqlite(path) | Self::Implied(path) => Some(path),
            Self::Postgres(_) | Self::Nowhere => None,
        }
    }

    /// The name of the system, as OpenTelemetry has it (`db.system.name`).
    pub(crate) fn system(&self) -> &'static str {
        match self {
            Self::Sqlite(_) | Self::Implied(_) | Self::Nowhere => "sqlite",
            Self::Postgres(_) => "postgresql",
        }
    }
}

/// For people: the file, or host and database; never user, password or parameters.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) | Self::Implied(path) => write!(f, "SQLite in {}", path.display()),
            Self::Nowhere => f.write_str("none"),
            Self::Postgres(url) => {
                let Ok(url) = Url::parse(url.expose()) else {
                    return f.write_str("Postgres");
                };
                write!(f, "Postgres at {}", url.host_str().unwrap_or_default())?;
                if let Some(port) = url.port() {
                    write!(f, ":{port}")?;
                }
                f.write_str(url.path())
            }
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Option<Place> {
        Place::parse(&Secret::new(url))
    }

    #[test]
    fn a_url_names_a_file_or_a_server() {
        for (url, path) in [
            ("sqlite:/var/lib/r.db", "/var/lib/r.db"),
            ("sqlite:///var/lib/r.db", "/var/lib/r.db"),
            ("sqlite:r.db", "r.db"),
            ("sqlite://folder/r.db", "folder/r.db"),
        ] {
            assert_eq!(parse(url), Some(Place::Sqlite(path.into())), "{url}");
        }
        for url in [
            "postgres://h/d",
            "postgresql://u:p@h:5432/d?sslmode=require",
        ] {
            assert!(matches!(parse(url), Some(Place::Postgres(_))), "{url}");
        }
        for url in [
            "",
            "sqlite:",
            "sqlite::memory:",
            "sqlite:/a/",
            "sqlite:a?mode=ro",
            "mysql://h/d",
            "h",
            "postgres:d",
        ] {
            assert_eq!(parse(url), None, "{url}");
        }
    }

    #[test]
    fn what_is_shown_is_no_secret() {
        let place =
            parse("postgres://user:hunter2@db.example:5433/registry?sslpassword=hunter2").unwrap();
        for shown in [format!("{place}"), format!("{place:?}")] {
            assert_eq!(shown, "Postgres at db.example:5433/registry");
        }
    }

    #[test]
    fn without_a_url_it_is_a_file_in_the_folder_for_state() {
        let place = |pairs: &[(&str, &str)]| {
            Place::implied(|name| {
                let found = pairs.iter().find(|(key, _)| *key == name);
                found.map(|(_, value)| (*value).to_owned())
            })
        };
        let at = |path: &str| Place::Implied(path.into());
        let home = ("HOME", "/home/me");
        let file = "/home/me/.local/state/mcp-hybrid/registry.db";
        assert_eq!(place(&[home]), at(file));
        assert_eq!(place(&[home, ("XDG_STATE_HOME", "relative")]), at(file));
        let user = ("XDG_STATE_HOME", "/state");
        assert_eq!(place(&[home, user]), at("/state/mcp-hybrid/registry.db"));
        let service = ("STATE_DIRECTORY", "/var/lib/s");
        assert_eq!(
            place(&[home, user, service]),
            at("/var/lib/s/mcp-hybrid/registry.db")
        );
        assert_eq!(place(&[]), Place::Nowhere);
    }
}
