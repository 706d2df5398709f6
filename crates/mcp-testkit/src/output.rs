//! What a child prints, kept for assertions and for the message of a test that fails.

use std::{
    io::{BufRead, BufReader, Read},
    process::Child,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

/// A child that prints without end must not fill the memory: past this the oldest half is forgotten.
const MOST_LINES: usize = 20_000;

/// The lines of a child's standard output and standard error, in the order of their arrival.
#[derive(Clone, Default)]
pub(crate) struct Output(Arc<Mutex<Vec<String>>>);

impl Output {
    /// Reads both streams of `child`, which must be pipes, in threads that end with the streams.
    pub(crate) fn of(child: &mut Child) -> Output {
        let output = Output::default();
        output.collect(child.stdout.take().expect("stdout is a pipe"));
        output.collect(child.stderr.take().expect("stderr is a pipe"));
        output
    }

    fn collect(&self, stream: impl Read + Send + 'static) {
        let output = self.clone();
        thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n') {
                let Ok(line) = line else { return };
                let mut lines = output.lock();
                if lines.len() >= MOST_LINES {
                    lines.drain(..MOST_LINES / 2);
                }
                lines.push(String::from_utf8_lossy(&line).into_owned());
            }
        });
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.lock().clone()
    }

    pub(crate) fn contains(&self, part: &str) -> bool {
        self.lock().iter().any(|line| line.contains(part))
    }

    /// The last lines, for a panic message.
    pub(crate) fn tail(&self) -> String {
        let lines = self.lock();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
