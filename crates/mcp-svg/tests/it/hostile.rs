//! What each hostile file comes to, by the table beside the corpus.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use mcp_svg::{Limits, Processed, SvgError, clean, process};

use crate::{checker::complaints, corpus, folder};

/// No file takes a hundredth of this; it ends a test that hangs.
const HANGS_AFTER: Duration = Duration::from_secs(120);

/// Runs in a thread with the stack that threads have by default, so that an overflow shows.
fn processed(bytes: Vec<u8>) -> Result<Processed, SvgError> {
    let (done, result) = mpsc::channel();
    let worker = thread::spawn(move || {
        // Nobody waits any more where it took too long.
        let _ = done.send(process(&bytes, &Limits::default()));
    });
    match result.recv_timeout(HANGS_AFTER) {
        Ok(result) => result,
        Err(RecvTimeoutError::Timeout) => panic!("it hangs"),
        Err(RecvTimeoutError::Disconnected) => panic!("it panicked: {:?}", worker.join()),
    }
}

/// A line of the table: `refused KIND`, or `cleaned`, and what is removed.
fn verdict(result: &Result<Processed, SvgError>) -> String {
    match result {
        Err(error) => {
            let json = serde_json::to_value(error).expect("errors can be serialised");
            format!("refused {}", json["kind"].as_str().unwrap_or("?"))
        }
        Ok(processed) => {
            let mut line = String::from("cleaned");
            for (i, removed) in processed.svg.removed.iter().enumerate() {
                let mark = if i == 0 { "" } else { ";" };
                write!(line, "{mark} {}× {}", removed.count, removed.what).expect("strings grow");
            }
            line
        }
    }
}

fn table() -> BTreeMap<String, String> {
    let text =
        fs::read_to_string(folder("hostile").join("VERDICTS.tsv")).expect("the table is there");
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let (name, verdict) = line.split_once('\t').expect("two columns");
            (name.to_owned(), verdict.to_owned())
        })
        .collect()
}

#[test]
fn every_hostile_file_comes_to_what_the_table_says_and_nothing_gets_through() {
    let mut cases = corpus::files(&folder("hostile"));
    assert!(cases.len() >= 60, "the corpus has {} files", cases.len());
    cases.extend(corpus::made());
    let expected = table();
    let mut wrong = String::new();
    let mut seen = 0;
    for case in cases {
        let result = processed(case.bytes);
        short(&case.name, &result);
        let verdict = verdict(&result);
        match expected.get(&case.name) {
            Some(line) if *line == verdict => seen += 1,
            Some(line) => writeln!(wrong, "{}\t{verdict}\n  instead of {line}", case.name)
                .expect("strings grow"),
            None => writeln!(wrong, "{}\t{verdict}\n  is not in the table", case.name)
                .expect("strings grow"),
        }
        if let Ok(processed) = &result {
            let found = complaints(&processed.svg.svg);
            if !found.is_empty() {
                writeln!(wrong, "{} got through: {found:?}", case.name).expect("strings grow");
            }
            let again =
                clean(&processed.svg.svg, &Limits::default()).expect("what is clean stays clean");
            assert_eq!(again.svg, processed.svg.svg, "{}", case.name);
            assert_eq!(again.removed, [], "{}", case.name);
        }
        if let Err(SvgError::RendererFailed { problem }) = &result {
            writeln!(wrong, "{}: the renderer panicked: {problem}", case.name)
                .expect("strings grow");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert_eq!(seen, expected.len(), "the table has lines without a file");
}

/// What people read stays short, whatever the file holds.
fn short(name: &str, result: &Result<Processed, SvgError>) {
    match result {
        Ok(processed) => {
            let removed = &processed.svg.removed;
            assert!(
                removed.len() <= Limits::default().removed_kinds + 1,
                "{name}"
            );
            for line in removed {
                assert!(line.what.len() < 120, "{name}: {}", line.what);
                assert!(!line.what.contains(char::is_control), "{name}");
            }
        }
        Err(error) => assert!(error.to_string().len() < 500, "{name}: {error}"),
    }
}
