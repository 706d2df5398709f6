//! The load: prepared bytes on connections that are kept, each answer compared with the one that was looked at.
//!
//! One thread, one `epoll`, no runtime: it shares the machine with what it measures, so it should cost as little as can
//! be. Timers of runtimes count in milliseconds; a pace of thousands a second needs finer ones.

mod pattern;

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bench_kit::clock::{monotonic_ns, thread_cpu_ns};
use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};

use crate::call::{ANSWER_MAX, PATIENCE, parse};
pub(crate) use pattern::Pattern;

/// What is written again and again, and what has to come back.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) address: SocketAddr,
    pub(crate) request: Vec<u8>,
    /// The body of a good answer.
    pub(crate) good: Vec<u8>,
}

/// Connections, and what waits for an answer on them.
pub(crate) struct Load {
    call: Call,
    epoll: OwnedFd,
    connections: Vec<Connection>,
    idle: Vec<usize>,
    /// Length of a good answer with its head, once there was one.
    usual: usize,
    scratch: Vec<u8>,
    took_ns: Vec<u64>,
}

struct Connection {
    stream: TcpStream,
    /// The beginning of an answer whose rest has not come yet.
    input: Vec<u8>,
    /// When the call under way was to be sent.
    due_ns: u64,
}

/// What was seen in a while.
pub(crate) struct Window {
    pub(crate) seconds: f64,
    /// How long each call took, in microseconds: from when it was due.
    pub(crate) took_us: Vec<f64>,
    /// Processor time of this thread, in microseconds.
    pub(crate) cpu_us: f64,
}

impl Load {
    /// Opens the connections.
    ///
    /// # Errors
    /// When the system takes none.
    pub(crate) fn open(call: Call, connections: u32) -> anyhow::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut open = Vec::new();
        for index in 0..u64::from(connections) {
            let stream = TcpStream::connect(call.address)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let data = epoll::EventData::new_u64(index);
            epoll::add(&epoll, &stream, data, epoll::EventFlags::IN)?;
            open.push(Connection {
                stream,
                input: Vec::new(),
                due_ns: 0,
            });
        }
        Ok(Self {
            call,
            epoll,
            idle: (0..open.len()).collect(),
            connections: open,
            usual: 0,
            scratch: vec![0; 64 * 1024],
            took_ns: Vec::new(),
        })
    }

    /// Calls by the pattern until its end, and waits for the last answers. Runs on a thread of its own.
    ///
    /// # Errors
    /// When a call does not succeed.
    pub(crate) fn run(&mut self, pattern: Pattern) -> anyhow::Result<Window> {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| self.run_here(pattern));
            thread
                .join()
                .unwrap_or_else(|_| bail!("the load's thread panicked"))
        })
    }

    fn run_here(&mut self, pattern: Pattern) -> anyhow::Result<Window> {
        // Callers elsewhere would not wait for this machine's processor. Only root may ask for that.
        let _ = rustix::process::setpriority_process(None, -10);
        let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
        self.took_ns.clear();
        let mut schedule = pattern.begin(monotonic_ns());
        let (began, cpu) = (monotonic_ns(), thread_cpu_ns());
        let mut events = Vec::with_capacity(self.connections.len());
        loop {
            self.send_what_is_due(&mut schedule)?;
            let none_waits = self.idle.len() == self.connections.len();
            let next_ns = schedule.next_ns(monotonic_ns());
            if none_waits && next_ns.is_none() {
                break;
            }
            // With every connection busy, an answer has to come first.
            let until_ns = next_ns.filter(|_| !self.idle.is_empty());
            self.wait(&mut events, until_ns)?;
            for event in events.drain(..) {
                // Marks are indices of the connections.
                self.read(event.data.u64() as usize)?;
                self.send_what_is_due(&mut schedule)?;
            }
        }
        Ok(Window {
            seconds: (monotonic_ns() - began) as f64 / 1e9,
            took_us: self.took_ns.iter().map(|ns| *ns as f64 / 1e3).collect(),
            cpu_us: (thread_cpu_ns() - cpu) as f64 / 1e3,
        })
    }

    fn send_what_is_due(&mut self, schedule: &mut pattern::Schedule) -> anyhow::Result<()> {
        while let Some(index) = self.idle.pop() {
            let Some(due_ns) = schedule.take(monotonic_ns()) else {
                self.idle.push(index);
                break;
            };
            let connection = &mut self.connections[index];
            connection.due_ns = due_ns;
            // A request fits the socket's buffer: there is one at a time.
            let sent = connection.stream.write_all(&self.call.request);
            sent.context("a request can't be sent")?;
        }
        Ok(())
    }

    /// Waits for answers, or until the next call is due.
    fn wait(&self, events: &mut Vec<epoll::Event>, until_ns: Option<u64>) -> anyhow::Result<()> {
        let wait = match until_ns {
            None => PATIENCE,
            Some(until) => Duration::from_nanos(until.saturating_sub(monotonic_ns())),
        };
        // `epoll_wait` counts in milliseconds, `ppoll` in nanoseconds.
        let wait = Timespec::try_from(wait)?;
        match poll(&mut [PollFd::new(&self.epoll, PollFlags::IN)], Some(&wait)) {
            Ok(0) if until_ns.is_none() => bail!("no answer within {PATIENCE:?}"),
            Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(()),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let at_once = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        epoll::wait(&self.epoll, spare_capacity(events), Some(&at_once))?;
        Ok(())
    }

    fn read(&mut self, index: usize) -> anyhow::Result<()> {
        let connection = &mut self.connections[index];
        let read = match connection.stream.read(&mut self.scratch) {
            Ok(0) => bail!("the connection was closed before the answer"),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error).context("the connection broke"),
        };
        let now = monotonic_ns();
        let part = &self.scratch[..read];
        // Nearly always an answer comes whole, and is as long as the one before.
        let is_usual = connection.input.is_empty()
            && part.len() == self.usual
            && part.starts_with(b"HTTP/1.1 200")
            && part.ends_with(&self.call.good);
        if !is_usual {
            connection.input.extend_from_slice(part);
            ensure!(
                connection.input.len() < ANSWER_MAX,
                "the answer is too large"
            );
            let Some(answer) = parse(&connection.input)? else {
                return Ok(());
            };
            let is_good = answer.status == 200 && answer.body == self.call.good;
            ensure!(
                is_good,
                "a call did not succeed: {}, {}",
                answer.status,
                String::from_utf8_lossy(answer.body)
            );
            self.usual = connection.input.len();
            connection.input.clear();
        }
        self.took_ns.push(now.saturating_sub(connection.due_ns));
        self.idle.push(index);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const GOOD: &str = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ngood";

    /// A server for one connection that gives these answers, one a request, in pieces of so many bytes.
    fn load(answers: &[&'static str], piece: usize) -> Load {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let call = Call {
            address: listener.local_addr().unwrap(),
            request: b"call".to_vec(),
            good: b"good".to_vec(),
        };
        let answers = answers.to_vec();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_nodelay(true).unwrap();
            for answer in answers {
                stream.read_exact(&mut [0; 4]).unwrap();
                for piece in answer.as_bytes().chunks(piece) {
                    stream.write_all(piece).unwrap();
                }
            }
        });
        Load::open(call, 1).unwrap()
    }

    fn run(answers: &[&'static str], piece: usize) -> anyhow::Result<usize> {
        let pattern = Pattern::Steadily {
            within: PATIENCE,
            calls_max: answers.len() as u64,
        };
        Ok(load(answers, piece).run(pattern)?.took_us.len())
    }

    #[test]
    fn an_answer_counts_however_it_comes() {
        for piece in [1, 7, 1000] {
            assert_eq!(run(&[GOOD, GOOD, GOOD], piece).unwrap(), 3, "{piece}");
        }
    }

    #[test]
    fn a_call_that_does_not_succeed_ends_it() {
        for bad in [
            "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\ngood",
            "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil",
            "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\ngoodgood",
        ] {
            let error = run(&[GOOD, GOOD, bad], 1000).unwrap_err().to_string();
            assert!(error.contains("did not succeed"), "{bad}: {error}");
        }
        assert!(run(&[GOOD, ""], 1000).is_err());
    }
}
