//! What environment variables are for. A crate has one table, name and meaning; default and allowed values are noted where
//! a variable is read ([`Vars`]), so that `--help`, `docs/configuration.md` and the refusal of misspelt names say what the
//! code does.

use std::collections::BTreeMap;

use crate::vars::{Reading, Vars};

/// A line of a program's table.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    name: &'static str,
    meaning: &'static str,
    default: Option<&'static str>,
    allowed: Option<&'static str>,
    is_read: bool,
    is_secret: bool,
}

impl Variable {
    /// The variable `name`; what it is for, in a sentence or two of Markdown, without default and bounds. A name that
    /// ends in `*` stands for all that begin so.
    pub const fn new(name: &'static str, meaning: &'static str) -> Self {
        Self {
            name,
            meaning,
            default: None,
            allowed: None,
            is_read: true,
            is_secret: false,
        }
    }

    /// A secret: `{name}_FILE` may name a file that holds it.
    #[must_use]
    pub const fn secret(mut self) -> Self {
        self.is_secret = true;
        self
    }

    /// The default in words, where it is no value.
    #[must_use]
    pub const fn default(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }

    /// What is allowed in words, where the reading does not say it.
    #[must_use]
    pub const fn allowed(mut self, allowed: &'static str) -> Self {
        self.allowed = Some(allowed);
        self
    }

    /// A library reads it, or it is read only in the company of others.
    #[must_use]
    pub const fn read_elsewhere(mut self) -> Self {
        self.is_read = false;
        self
    }
}

/// A variable with all that is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Documented {
    /// Its name.
    pub name: &'static str,
    /// Whether `{name}_FILE` may name a file with its value instead.
    pub is_secret: bool,
    /// What it is when it is not set; `required`, or `–` for nothing.
    pub default: String,
    /// What it may be.
    pub allowed: String,
    /// What it is for.
    pub meaning: &'static str,
}

/// All that is known of a program's variables.
#[derive(Clone, Debug)]
pub struct Documentation {
    /// In the order of the table.
    pub variables: Vec<Documented>,
    /// Where table and code do not fit each other, each a sentence: what the one lacks and the other has.
    pub faults: Vec<String>,
}

/// All that is known of `table`, from its words and from how `read` reads the variables when only `given` are set.
pub fn document(
    table: &[Variable],
    given: &[(&str, &str)],
    read: impl FnOnce(&Vars),
) -> Documentation {
    let vars: Vars = given.iter().copied().collect();
    let mut readings = vars.observed(read);
    let mut faults = Vec::new();
    let variables = table
        .iter()
        .map(|variable| complete(variable, &mut readings, &mut faults))
        .collect();
    faults.extend(readings.into_keys().map(|name| {
        format!("{name} is read, but stands in no table: add a line to the crate's variables.rs")
    }));
    Documentation { variables, faults }
}

fn complete(
    variable: &Variable,
    readings: &mut BTreeMap<String, Reading>,
    faults: &mut Vec<String>,
) -> Documented {
    let name = variable.name;
    let reading = readings.remove(name);
    if reading.is_none() && variable.is_read && !name.ends_with('*') {
        faults.push(format!("{name} stands in the table, but is not read"));
    }
    if reading
        .as_ref()
        .is_some_and(|reading| reading.is_secret != variable.is_secret)
    {
        faults.push(format!(
            "{name}: the table and the code differ on whether it is a secret"
        ));
    }
    let reading = reading.unwrap_or_default();
    if variable.is_secret {
        readings.remove(&format!("{name}_FILE"));
    }
    let words = |words: Option<&str>, read: Option<String>| words.map(str::to_owned).or(read);
    let default = words(variable.default, reading.default);
    let allowed = words(variable.allowed, reading.allowed).unwrap_or_else(|| {
        faults.push(format!("{name}: what is allowed is said nowhere"));
        String::new()
    });
    Documented {
        name,
        is_secret: variable.is_secret,
        default: default.unwrap_or_else(|| "–".into()),
        allowed,
        meaning: variable.meaning,
    }
}

/// The names of `table` that can be misspelt, those of secrets' files among them.
pub fn names(table: &[Variable]) -> impl Iterator<Item = String> + '_ {
    let whole = table
        .iter()
        .filter(|variable| !variable.name.ends_with('*'));
    whole.flat_map(|variable| {
        let file = variable
            .is_secret
            .then(|| format!("{}_FILE", variable.name));
        std::iter::once(variable.name.to_owned()).chain(file)
    })
}

/// Where the meaning begins in a line of help, and where it ends: clap breaks longer lines at 100.
const HELP: std::ops::Range<usize> = 28..98;

impl Documentation {
    /// As `--help` shows it: plain text, name before meaning, the default behind it.
    pub fn help(&self) -> String {
        let mut help = String::new();
        for variable in &self.variables {
            let file = if variable.is_secret { "[_FILE]" } else { "" };
            let name = format!("  {}{file}", variable.name);
            let default = match &*variable.default {
                "–" => "none",
                default => default,
            };
            let text = format!("{} ({default})", variable.meaning).replace('`', "");
            let mut line = name;
            if line.len() >= HELP.start {
                line.push('\n');
                help.push_str(&std::mem::take(&mut line));
            }
            for word in text.split(' ') {
                let width = line.chars().count();
                if width < HELP.start {
                    line.push_str(&" ".repeat(HELP.start - width));
                } else if width + word.chars().count() < HELP.end {
                    line.push(' ');
                } else {
                    line.push('\n');
                    help.push_str(&line);
                    line = " ".repeat(HELP.start);
                }
                line.push_str(word);
            }
            help.push_str(&line);
            help.push('\n');
        }
        help
    }

    /// As Markdown.
    pub fn table(&self) -> String {
        let mut table =
            String::from("| Variable | Default | Allowed | What |\n|---|---|---|---|\n");
        for variable in &self.variables {
            let name = match variable.is_secret {
                true => format!("`{0}`, `{0}_FILE`", variable.name),
                false => format!("`{}`", variable.name),
            };
            let cells = [
                &name,
                &variable.default,
                &variable.allowed,
                variable.meaning,
            ]
            .map(|cell| cell.replace('|', "\\|"));
            table.push_str(&format!("| {} |\n", cells.join(" | ")));
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[Variable] = &[
        Variable::new("N", "how many `things`"),
        Variable::new("TOKEN", "sent along").secret(),
        Variable::new("DIR", "where things lie").allowed("a path"),
        Variable::new("P_*", "passed on").allowed("anything"),
    ];

    fn read(vars: &Vars) {
        let _ = vars.number("N", 4, 1, 9);
        let _ = vars.secret("TOKEN");
        let _ = vars.path("DIR");
    }

    #[test]
    fn defaults_and_bounds_come_from_where_a_variable_is_read() {
        let documented = document(TABLE, &[], read);
        assert_eq!(documented.faults, [""; 0]);
        assert_eq!(
            documented.table().lines().skip(2).collect::<Vec<_>>(),
            [
                "| `N` | 4 | a whole number from 1 to 9 | how many `things` |",
                "| `TOKEN`, `TOKEN_FILE` | – | text; or the file that holds it | sent along |",
                "| `DIR` | – | a path | where things lie |",
                "| `P_*` | – | anything | passed on |",
            ]
        );
        let help = documented.help();
        assert!(
            help.starts_with("  N                         how many things (4)\n"),
            "{help}"
        );
        assert!(
            help.contains("\n  TOKEN[_FILE]              sent along (none)\n"),
            "{help}"
        );
    }

    #[test]
    fn table_and_code_must_name_the_same_variables() {
        let faults = document(&TABLE[..2], &[], |vars| {
            read(vars);
            let _ = vars.get("NEW");
        });
        assert_eq!(
            faults.faults,
            ["DIR", "NEW"].map(|name| {
                format!(
                    "{name} is read, but stands in no table: add a line to the crate's variables.rs"
                )
            })
        );
        let faults = document(TABLE, &[], |_| ()).faults;
        assert!(
            faults.contains(&"N stands in the table, but is not read".to_owned()),
            "{faults:?}"
        );
    }

    #[test]
    fn a_long_meaning_is_broken_into_lines() {
        const LONG: &[Variable] = &[Variable::new(
            "A_NAME_THAT_IS_LONGER_THAN_ITS_COLUMN",
            "word word word word word word word word word word word word word word word word word word word word word",
        )
        .allowed("words")];
        let help = document(LONG, &[], |vars| {
            vars.get(LONG[0].name);
        })
        .help();
        assert_eq!(help.lines().count(), 3, "{help}");
        assert!(help.lines().all(|line| line.len() <= HELP.end), "{help}");
    }
}
