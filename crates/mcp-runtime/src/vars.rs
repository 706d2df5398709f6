//! The configuration source. A config struct reads its fields from [`Vars`]; tests give pairs, binaries the
//! environment, so no test touches the process environment.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mcp_core::Secret;
use mcp_core::text::bounded;

/// One line that stops the start: the variable's name, its value unless secret, and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A value that does not fit.
    #[error("{name}={value:?}: {allowed}")]
    Invalid {
        /// The variable.
        name: String,
        /// What it holds.
        value: String,
        /// What is allowed.
        allowed: String,
    },
    /// A value that does not fit and is not shown.
    #[error("{name}: {allowed}")]
    InvalidSecret {
        /// The variable.
        name: String,
        /// What is allowed.
        allowed: String,
    },
    /// A required variable that is not set.
    #[error("{name} is not set: {allowed}")]
    Missing {
        /// The variable.
        name: String,
        /// What it takes.
        allowed: String,
    },
    /// A name that is nearly one of ours.
    #[error("{name} is no variable of this program; did you mean {nearest}?")]
    Misspelt {
        /// The variable.
        name: String,
        /// The known name nearest to it.
        nearest: String,
    },
}

/// Largest configuration file, in bytes.
pub const FILE_MAX: u64 = 1024 * 1024;
/// Names that differ by so many letters or fewer are taken for typing errors.
const MISSPELT: usize = 2;

/// Variables by name. An empty value counts as not set, as Compose and Kubernetes templates produce them.
#[derive(Clone, Default)]
pub struct Vars {
    values: BTreeMap<String, String>,
    /// What was read, where somebody wants to know.
    readings: Option<Arc<Mutex<BTreeMap<String, Reading>>>>,
}

/// How a variable was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// What it is when it is not set.
    pub default: Option<String>,
    /// What it may be.
    pub allowed: Option<String>,
    /// Whether `{name}_FILE` may stand for it.
    pub is_secret: bool,
}

impl Vars {
    /// The process environment. What is no UTF-8 gets replacement characters, which no check lets through.
    pub fn from_env() -> Self {
        std::env::vars_os()
            .map(|(name, value)| {
                let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
                (text(name), text(value))
            })
            .collect()
    }

    /// How `read` reads these variables: each name that it asks for, with what it says of it.
    pub fn observed(&self, read: impl FnOnce(&Self)) -> BTreeMap<String, Reading> {
        let readings = Arc::default();
        read(&Self {
            values: self.values.clone(),
            readings: Some(Arc::clone(&readings)),
        });
        let mut readings = readings.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *readings)
    }

    /// Notes how `name` is read. What was said of it before stays.
    fn note(&self, name: &str, reading: impl FnOnce() -> Reading) {
        let Some(readings) = &self.readings else {
            return;
        };
        let new = reading();
        let mut readings = readings.lock().unwrap_or_else(PoisonError::into_inner);
        let known = readings.entry(name.to_owned()).or_default();
        known.default = known.default.take().or(new.default);
        known.allowed = known.allowed.take().or(new.allowed);
        known.is_secret |= new.is_secret;
    }

    /// The value of `name`, if set and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.note(name, Reading::default);
        self.values
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// The value of `name`, or `default`.
    pub fn text<'a>(&'a self, name: &str, default: &'a str) -> &'a str {
        self.note(name, || Reading::new(default, None));
        self.get(name).unwrap_or(default)
    }

    /// The same variables, with `name` set to `value`: what a flag says wins over the environment.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.values.insert(name.to_owned(), value.into());
        self
    }

    /// The variables whose name begins with `prefix`: the rest of the name, and the value.
    pub fn with_prefix<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> + 'a {
        self.values
            .range(prefix.to_owned()..)
            .take_while(move |(name, _)| name.starts_with(prefix))
            .map(move |(name, value)| (&name[prefix.len()..], value.as_str()))
    }

    /// The value of `name`, which must be set.
    pub fn required(&self, name: &str, allowed: &str) -> Result<&str, ConfigError> {
        self.note(name, || Reading::new("required", Some(allowed)));
        self.get(name).ok_or_else(|| ConfigError::Missing {
            name: name.into(),
            allowed: allowed.into(),
        })
    }

    /// The value of `name` read as `T`, or `default`.
    pub fn parse<T: FromStr + Display>(
        &self,
        name: &str,
        default: T,
        allowed: &str,
    ) -> Result<T, ConfigError> {
        self.note(name, || Reading::new(&default, Some(allowed)));
        match self.get(name) {
            None => Ok(default),
            Some(value) => value
                .trim()
                .parse()
                .map_err(|_| invalid(name, value, allowed)),
        }
    }

    /// A whole number between `min` and `max`.
    pub fn number<T>(&self, name: &str, default: T, min: T, max: T) -> Result<T, ConfigError>
    where
        T: FromStr + PartialOrd + Display + Copy,
    {
        let allowed = format!("a whole number from {min} to {max}");
        let number = self.parse(name, default, &allowed)?;
        if number < min || number > max {
            return Err(invalid(name, &number.to_string(), allowed));
        }
        Ok(number)
    }

    /// A duration in milliseconds between `min` and `max`, all in milliseconds.
    pub fn millis(
        &self,
        name: &str,
        default: u64,
        min: u64,
        max: u64,
    ) -> Result<Duration, ConfigError> {
        let allowed = format!("milliseconds, from {min} to {max}");
        let millis = self.parse(name, default, &allowed)?;
        if !(min..=max).contains(&millis) {
            return Err(invalid(name, &millis.to_string(), allowed));
        }
        Ok(Duration::from_millis(millis))
    }

    /// One of a few names.
    pub fn choice<T: Copy + PartialEq>(
        &self,
        name: &str,
        default: T,
        choices: &[(&str, T)],
    ) -> Result<T, ConfigError> {
        self.note(name, || {
            let usual = choices.iter().find(|(_, choice)| *choice == default);
            let names: Vec<_> = choices
                .iter()
                .map(|(name, _)| format!("`{name}`"))
                .collect();
            Reading {
                default: usual.map(|(name, _)| (*name).to_owned()),
                allowed: Some(names.join(", ")),
                is_secret: false,
            }
        });
        let Some(value) = self.get(name) else {
            return Ok(default);
        };
        choices
            .iter()
            .find(|(choice, _)| *choice == value)
            .map(|(_, choice)| *choice)
            .ok_or_else(|| {
                let names: Vec<_> = choices.iter().map(|(choice, _)| *choice).collect();
                invalid(name, value, format!("one of {}", names.join(", ")))
            })
    }

    /// A comma-separated list; empty when not set. One that is set and names nothing is a mistake.
    pub fn list(&self, name: &str) -> Result<Vec<String>, ConfigError> {
        self.list_or(name, &[])
    }

    /// The same with a default.
    pub fn list_or(&self, name: &str, default: &[&str]) -> Result<Vec<String>, ConfigError> {
        self.note(name, || Reading {
            default: Some(default.join(",")).filter(|default| !default.is_empty()),
            allowed: Some("a comma-separated list".into()),
            is_secret: false,
        });
        let Some(value) = self.get(name) else {
            return Ok(default.iter().map(|&entry| entry.to_owned()).collect());
        };
        let entries: Vec<_> = value
            .split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
            .map(str::to_owned)
            .collect();
        if entries.is_empty() {
            return Err(invalid(name, value, "a comma-separated list with an entry"));
        }
        Ok(entries)
    }

    /// A secret: the value of `name`, or the content of the file that `{name}_FILE` names, without the line's end.
    pub fn secret(&self, name: &str) -> Result<Option<Secret>, ConfigError> {
        let file_name = format!("{name}_FILE");
        self.note(name, || Reading {
            default: None,
            allowed: Some("text; or the file that holds it".into()),
            is_secret: true,
        });
        match (self.get(name), self.get(&file_name)) {
            (Some(_), Some(_)) => Err(ConfigError::InvalidSecret {
                name: name.into(),
                allowed: format!("{file_name} is set too: give one of them"),
            }),
            (Some(value), None) => Ok(Some(Secret::new(value))),
            (None, Some(path)) => match read_bounded(Path::new(path)) {
                Ok(text) => Ok(Some(Secret::new(text.trim_end_matches(['\n', '\r'])))),
                Err(error) => Err(invalid(
                    &file_name,
                    path,
                    format!("a readable file ({error})"),
                )),
            },
            (None, None) => Ok(None),
        }
    }

    /// The path in `name`, if set.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.get(name).map(PathBuf::from)
    }

    /// Refuses names that begin with `prefix` and differ from one of `known` by a letter or two: a typing error must not
    /// silently leave a default in force. Other names are other programs' business, as are those that Kubernetes sets
    /// for a service of that name.
    pub fn refuse_misspelt(
        &self,
        prefix: &str,
        known: &[impl AsRef<str>],
    ) -> Result<(), ConfigError> {
        for (rest, _) in self.with_prefix(prefix) {
            let name = format!("{prefix}{rest}");
            let mut known = known.iter().map(AsRef::as_ref);
            if known.clone().any(|known| known == name) {
                continue;
            }
            if let Some(nearest) = known.find(|known| distance(known, &name) <= MISSPELT) {
                let nearest = nearest.to_owned();
                return Err(ConfigError::Misspelt { name, nearest });
            }
        }
        Ok(())
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Vars {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        Self {
            values: pairs
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            readings: None,
        }
    }
}

impl Reading {
    fn new(default: impl Display, allowed: Option<&str>) -> Self {
        Self {
            default: Some(default.to_string()),
            allowed: allowed.map(str::to_owned),
            is_secret: false,
        }
    }
}

/// The text of a file of at most [`FILE_MAX`] bytes: the path may name a device that never ends.
///
/// # Errors
/// When it can't be read, is no UTF-8 or is larger.
pub fn read_bounded(path: &Path) -> std::io::Result<String> {
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

/// A [`ConfigError::Invalid`] with a bounded value.
pub fn invalid(name: &str, value: &str, allowed: impl Into<String>) -> ConfigError {
    ConfigError::Invalid {
        name: name.into(),
        value: bounded(value, 200),
        allowed: format!("allowed is {}", allowed.into()),
    }
}

/// Levenshtein distance, for names of a few dozen bytes.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vars(pairs: &[(&str, &str)]) -> Vars {
        pairs.iter().copied().collect()
    }

    #[test]
    fn a_bad_value_is_one_line_with_name_value_and_what_is_allowed() {
        let error = vars(&[("N", "many")]).number("N", 1, 1, 9).unwrap_err();
        assert_eq!(
            error.to_string(),
            "N=\"many\": allowed is a whole number from 1 to 9"
        );
        let error = vars(&[("N", "10")]).number("N", 1, 1, 9).unwrap_err();
        assert_eq!(
            error.to_string(),
            "N=\"10\": allowed is a whole number from 1 to 9"
        );
        let error = vars(&[("O", "x")])
            .choice("O", 1, &[("key", 1), ("partition", 2)])
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "O=\"x\": allowed is one of key, partition"
        );
    }

    #[test]
    fn a_typing_error_names_the_nearest_variable() {
        let known = ["WORKER_CONCURRENCY", "WORKER_DRAIN_MS"];
        let error = vars(&[("WORKER_CONCURENCY", "1")])
            .refuse_misspelt("WORKER_", &known)
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "WORKER_CONCURENCY is no variable of this program; did you mean WORKER_CONCURRENCY?"
        );
        vars(&[
            ("WORKER_SERVICE_HOST", "10.0.0.1"),
            ("WORKER_NAME", "w"),
            ("WORKER_DRAIN_MS", "1"),
        ])
        .refuse_misspelt("WORKER_", &known)
        .unwrap();
    }

    #[test]
    fn a_secret_comes_from_one_place_and_is_not_shown() {
        let error = vars(&[("K", "hunter2"), ("K_FILE", "/f")])
            .secret("K")
            .unwrap_err();
        assert!(!error.to_string().contains("hunter2"));
        assert_eq!(vars(&[("K", "")]).secret("K").unwrap(), None);
    }
}
