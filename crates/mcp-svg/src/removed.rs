//! The account of what was taken out.

use serde::{Deserialize, Serialize};

/// A kind of content that was taken out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// What, in plain words. Bounded in length, and printable: names in it come from the file, nothing else does.
    pub what: String,
    /// How many of it.
    pub count: u32,
}

/// Names longer than this are cut.
const LONGEST_NAME: usize = 40;
/// What stands for the kinds that are not named any more.
const THE_REST: &str = "other kinds of content";

/// Counts what is taken out, a line a kind, in the order of their first appearance.
pub(crate) struct Account {
    lines: Vec<Removed>,
    most: usize,
}

impl Account {
    pub(crate) fn new(most: usize) -> Account {
        Account {
            lines: Vec::new(),
            most,
        }
    }

    /// Notes one more of `what`, which must hold no words of the file.
    pub(crate) fn note(&mut self, what: &str) {
        self.add(what.to_owned(), 1);
    }

    /// Notes one more of `what` with a name from the file.
    pub(crate) fn note_named(&mut self, what: &str, name: &str) {
        self.add(format!("{what} {}", presentable(name)), 1);
    }

    fn add(&mut self, what: String, count: u32) {
        let known = self.lines.iter().position(|line| line.what == what);
        let at = match known {
            Some(at) => at,
            None if self.lines.len() < self.most => {
                self.lines.push(Removed { what, count: 0 });
                self.lines.len() - 1
            }
            None => match self.lines.iter().position(|line| line.what == THE_REST) {
                Some(at) => at,
                None => {
                    self.lines.push(Removed {
                        what: THE_REST.to_owned(),
                        count: 0,
                    });
                    self.lines.len() - 1
                }
            },
        };
        let line = &mut self.lines[at];
        line.count = line.count.saturating_add(count);
    }

    pub(crate) fn into_lines(self) -> Vec<Removed> {
        self.lines
    }
}

/// A name from the file, if it can be shown as it is: letters, digits and `-_.:@` only, and not too long.
fn presentable(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:@".contains(c);
    if name.is_empty() || !name.chars().all(plain) {
        return "with an unusual name".to_owned();
    }
    match name.get(..LONGEST_NAME) {
        Some(cut) if name.len() > LONGEST_NAME => format!("{cut}…"),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_beyond_the_limit_are_counted_in_one_line() {
        let mut account = Account::new(2);
        for name in ["a", "b", "c", "d", "a"] {
            account.note_named("element", name);
        }
        let lines = account.into_lines();
        let texts: Vec<_> = lines.iter().map(|l| (l.what.as_str(), l.count)).collect();
        assert_eq!(
            texts,
            [
                ("element a", 2),
                ("element b", 1),
                ("other kinds of content", 2)
            ]
        );
    }

    #[test]
    fn a_name_that_could_mislead_is_not_shown() {
        assert_eq!(presentable("onload"), "onload");
        assert_eq!(presentable("a\u{202e}b"), "with an unusual name");
        assert_eq!(presentable("a b"), "with an unusual name");
        assert_eq!(presentable(&"x".repeat(50)), format!("{}…", "x".repeat(40)));
    }
}
