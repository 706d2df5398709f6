//! The source files of the workspace.

use std::{
    fs,
    path::{Path, PathBuf},
};

use mcp_testkit::fetched::repository;

/// A source file, by its path from the repository's root.
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    lines: Vec<String>,
}

impl Source {
    pub(crate) fn new(path: impl Into<PathBuf>, text: &str) -> Source {
        Source {
            path: path.into(),
            lines: text.lines().map(str::to_owned).collect(),
        }
    }

    /// Whether it holds nothing but tests.
    pub(crate) fn is_test(&self) -> bool {
        self.path.ends_with("tests.rs")
            || self
                .path
                .components()
                .any(|part| part.as_os_str() == "tests")
    }

    /// Its lines without an inline module of tests, which ends with the first brace in the first column.
    pub(crate) fn code(&self) -> Vec<&str> {
        let mut code = Vec::new();
        let mut lines = self.lines.iter().map(String::as_str).peekable();
        while let Some(line) = lines.next() {
            let opens = |next: &&str| next.starts_with("mod tests {");
            if line == "#[cfg(test)]" && lines.peek().is_some_and(opens) {
                lines.by_ref().find(|line| line.starts_with('}'));
            } else {
                code.push(line);
            }
        }
        code
    }

    /// Descriptions of the lines for which `offends` holds.
    pub(crate) fn lines_where(&self, offends: impl Fn(&str) -> bool) -> Vec<String> {
        let numbered = self.lines.iter().enumerate();
        numbered
            .filter(|(_, line)| offends(line))
            .map(|(index, line)| self.at(index + 1, line.trim()))
            .collect()
    }

    /// `file:line: what`, which editors can follow.
    pub(crate) fn at(&self, line: usize, what: &str) -> String {
        format!("{}:{line}: {what}", self.path.display())
    }
}

/// The folders of all crates.
pub(crate) fn crates() -> impl Iterator<Item = PathBuf> {
    entries(&repository().join("crates"))
        .into_iter()
        .filter(|path| path.join("Cargo.toml").is_file())
}

/// All Rust files of all crates.
pub(crate) fn sources() -> impl Iterator<Item = Source> {
    let root = repository();
    let mut files = Vec::new();
    for folder in crates() {
        collect(&folder, &mut files);
    }
    assert!(!files.is_empty(), "no source file was found");
    files.into_iter().map(move |file| {
        let text = fs::read_to_string(&file).expect("a source file is readable text");
        Source::new(file.strip_prefix(&root).expect("it lies in it"), &text)
    })
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for path in entries(folder) {
        if path.is_dir() && !path.ends_with("target") {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder)
        .expect("a readable folder")
        .map(|entry| entry.expect("a readable entry").path())
        .collect();
    entries.sort();
    entries
}
