//! What `cargo tree` prints, as a graph. `cargo metadata` would do for the names, but it mixes in what the features of test
//! dependencies bring: crates that no release is built from.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use anyhow::{Context as _, ensure};

/// A package: within one workspace name and version are enough.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Id {
    /// As in its manifest.
    pub(crate) name: String,
    /// With the part behind `+`, if it has one.
    pub(crate) version: String,
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

/// Packages, and what each depends on directly.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tree(BTreeMap<Id, BTreeSet<Id>>);

impl Tree {
    /// Reads the output of `cargo tree --prefix depth --format {p}`.
    ///
    /// # Errors
    ///
    /// A line is not of that form.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        let mut tree = Self::default();
        let mut above: Vec<Id> = Vec::new();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let (depth, id) = entry(line).with_context(|| format!("cargo tree prints {line:?}"))?;
            ensure!(
                depth <= above.len(),
                "cargo tree leaves out what is above {line:?}"
            );
            above.truncate(depth);
            if let Some(parent) = above.last() {
                tree.0.entry(parent.clone()).or_default().insert(id.clone());
            }
            tree.0.entry(id.clone()).or_default();
            above.push(id);
        }
        Ok(tree)
    }

    /// `root` and all that it depends on, directly or not.
    pub(crate) fn reachable(&self, root: &Id) -> BTreeSet<Id> {
        let mut seen = BTreeSet::new();
        let mut open = vec![root];
        while let Some(id) = open.pop() {
            if seen.insert(id.clone()) {
                open.extend(self.direct(id));
            }
        }
        seen
    }

    /// What it depends on directly.
    pub(crate) fn direct(&self, id: &Id) -> impl Iterator<Item = &Id> {
        self.0.get(id).into_iter().flatten()
    }
}

/// `2serde v1.0.2 (proc-macro) (*)`: the depth, and the package.
fn entry(line: &str) -> Option<(usize, Id)> {
    let digits = line.find(|c: char| !c.is_ascii_digit())?;
    let (depth, rest) = line.split_at(digits);
    let mut words = rest.split(' ');
    let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
    let id = Id {
        name: name.to_owned(),
        version: version.to_owned(),
    };
    Some((depth.parse().ok()?, id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str, version: &str) -> Id {
        Id {
            name: name.to_owned(),
            version: version.to_owned(),
        }
    }

    #[test]
    fn the_tree_of_several_binaries_is_one_graph() {
        let text = "0server v0.1.0 (/here)\n1http v1.5.0\n2bytes v1.0.0\n1macros v1.0.0+x.2 (proc-macro)\n\n\
                    0worker v0.1.0 (/here)\n1http v1.5.0 (*)\n1sys v2.0.0\n";
        let tree = Tree::parse(text).expect("a tree");
        let server = tree.reachable(&id("server", "0.1.0"));
        assert_eq!(server.len(), 4);
        assert!(server.contains(&id("macros", "1.0.0+x.2")));
        let worker: Vec<_> = tree.reachable(&id("worker", "0.1.0")).into_iter().collect();
        let wanted = [
            id("bytes", "1.0.0"),
            id("http", "1.5.0"),
            id("sys", "2.0.0"),
            id("worker", "0.1.0"),
        ];
        assert_eq!(worker, wanted);
    }

    #[test]
    fn what_is_no_tree_is_refused_with_its_line() {
        for text in ["server v0.1.0", "0server", "0a v1\n2b v1"] {
            let error = Tree::parse(text).unwrap_err().to_string();
            let line = text.lines().last().unwrap_or_default();
            assert!(error.contains(line), "{error}");
        }
    }
}
