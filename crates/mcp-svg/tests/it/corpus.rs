//! The corpora: files of the repository, and large ones that are made here. The benchmark has the same ones.

// Other crates have this file by its path, and so these.
#[path = "corpus/content.rs"]
mod content;
#[path = "corpus/drawing.rs"]
mod drawing;
#[path = "corpus/structure.rs"]
mod structure;

use std::{fs, path::Path};

/// A file by its name.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

/// The SVG files of a folder, by name.
pub(crate) fn files(folder: &Path) -> Vec<Case> {
    let entries = fs::read_dir(folder).expect("the corpus is there");
    let mut cases: Vec<Case> = entries
        .map(|entry| entry.expect("it is readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "svg"))
        .map(|path| Case {
            name: path
                .file_stem()
                .expect("it has a name")
                .to_string_lossy()
                .into_owned(),
            bytes: fs::read(&path).expect("it is readable"),
        })
        .collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}

/// Hostile files that are too large, or too regular, to be kept as files.
pub(crate) fn made() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |name: &str, text: String| {
        cases.push(Case {
            name: format!("made-{name}"),
            bytes: text.into_bytes(),
        });
    };
    structure::nesting(&mut add);
    structure::amounts(&mut add);
    structure::references(&mut add);
    drawing::surfaces(&mut add);
    drawing::paths(&mut add);
    content::styles(&mut add);
    content::texts(&mut add);
    content::images(&mut add);
    structure::tags(&mut add);
    cases
}

type Add<'a> = &'a mut dyn FnMut(&str, String);

fn svg(inside: &str) -> String {
    format!("<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 100 100'>{inside}</svg>")
}

fn nested(open: &str, count: usize, inside: &str, close: &str) -> String {
    format!("{}{inside}{}", open.repeat(count), close.repeat(count))
}

fn each(count: usize, item: impl Fn(usize) -> String) -> String {
    (0..count).map(item).collect()
}

const RECT: &str = "<rect width='100' height='100' fill='#123'/>";
