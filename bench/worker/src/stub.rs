//! The stub server: takes a request, and answers it after a fixed time.
//!
//! One thread, one `epoll`, no runtime: it shares the machine with what it measures, so it should cost as little as can
//! be. All answers wait for the same time, so the queue of answers is in order by itself. Timers of runtimes count in
//! milliseconds; this one sleeps to the microsecond.

mod ledger;
mod request;

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::num::NonZeroU64;
use std::os::fd::{AsFd as _, OwnedFd};

use bench_kit::clock::monotonic_ns;
use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};

use ledger::Ledger;
use request::{Parsed, Request};

pub(crate) use ledger::Stats;

/// The listener's mark among the marks of connections.
const LISTENER: u64 = u64::MAX;
/// Largest request.
const REQUEST_MAX: usize = 64 * 1024;

struct Stub {
    latency_ns: u64,
    listener: TcpListener,
    epoll: OwnedFd,
    slots: Vec<Slot>,
    free: Vec<u32>,
    due: VecDeque<Answer>,
    ledger: Ledger,
    output: Vec<u8>,
}

/// A place for a connection; its generation tells it from those that had the place before.
#[derive(Default)]
struct Slot {
    generation: u32,
    connection: Option<Connection>,
}

struct Connection {
    stream: TcpStream,
    /// The beginning of a request whose rest has not come yet.
    input: Vec<u8>,
}

/// An answer that waits for its time.
struct Answer {
    due_ns: u64,
    came_ns: u64,
    slot: u32,
    generation: u32,
    id: u64,
}

/// Serves until it is killed. Prints its address first.
pub(crate) fn run(latency_ms: u64) -> anyhow::Result<()> {
    // A server elsewhere would not wait for this machine's processor. Only root may ask for that.
    let _ = rustix::process::setpriority_process(None, -10);
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mark = epoll::EventData::new_u64(LISTENER);
    epoll::add(&epoll, &listener, mark, epoll::EventFlags::IN)?;
    writeln!(io::stdout(), "listening on {}", listener.local_addr()?)?;
    let mut stub = Stub {
        latency_ns: latency_ms * 1_000_000,
        listener,
        epoll,
        slots: Vec::new(),
        free: Vec::new(),
        due: VecDeque::new(),
        ledger: Ledger::default(),
        output: Vec::new(),
    };
    let mut events = Vec::with_capacity(1024);
    let mut scratch = vec![0; REQUEST_MAX];
    loop {
        stub.wait(&mut events)?;
        for event in events.drain(..) {
            match event.data.u64() {
                LISTENER => stub.accept(),
                mark => stub.read(mark, &mut scratch),
            }
        }
        stub.answer_due();
    }
}

impl Stub {
    /// Waits for something to read, or for the next answer's time.
    fn wait(&self, events: &mut Vec<epoll::Event>) -> io::Result<()> {
        let Some(next) = self.due.front() else {
            // The kernel may interrupt it for reasons of its own.
            let _ = epoll::wait(&self.epoll, spare_capacity(events), None);
            return Ok(());
        };
        let at_once = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        epoll::wait(&self.epoll, spare_capacity(events), Some(&at_once))?;
        let left = next.due_ns.saturating_sub(monotonic_ns());
        if events.is_empty() && left > 0 {
            // `epoll_wait` counts in milliseconds, `ppoll` in nanoseconds.
            let until = Timespec {
                tv_sec: (left / 1_000_000_000).try_into().unwrap_or(1),
                tv_nsec: (left % 1_000_000_000).try_into().unwrap_or(0),
            };
            let _ = poll(&mut [PollFd::new(&self.epoll, PollFlags::IN)], Some(&until));
        }
        Ok(())
    }

    fn accept(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            let set = stream
                .set_nonblocking(true)
                .and_then(|()| stream.set_nodelay(true));
            if set.is_err() {
                continue;
            }
            let index = self.free.pop().unwrap_or_else(|| {
                self.slots.push(Slot::default());
                u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
            });
            let slot = &mut self.slots[index as usize];
            let mark = u64::from(slot.generation) << 32 | u64::from(index);
            let data = epoll::EventData::new_u64(mark);
            if epoll::add(&self.epoll, stream.as_fd(), data, epoll::EventFlags::IN).is_ok() {
                slot.connection = Some(Connection {
                    stream,
                    input: Vec::new(),
                });
            } else {
                self.free.push(index);
            }
        }
    }

    fn read(&mut self, mark: u64, scratch: &mut [u8]) {
        let (index, generation) = (mark as u32, (mark >> 32) as u32);
        let slot = &mut self.slots[index as usize];
        let Some(connection) = slot
            .connection
            .as_mut()
            .filter(|_| slot.generation == generation)
        else {
            return;
        };
        let read = match connection.stream.read(scratch) {
            Ok(0) => return self.close(index),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(_) => return self.close(index),
        };
        // Nearly always a request comes whole, and nothing needs to be kept.
        let mut kept = std::mem::take(&mut connection.input);
        let bytes = if kept.is_empty() {
            &scratch[..read]
        } else {
            kept.extend_from_slice(&scratch[..read]);
            &kept
        };
        match request::parse(bytes) {
            Parsed::Whole(request) => self.take(index, generation, &request),
            Parsed::Part if bytes.len() < REQUEST_MAX => {
                if kept.is_empty() {
                    kept = scratch[..read].to_vec();
                }
                connection.input = kept;
            }
            Parsed::Part | Parsed::Bad => {
                self.ledger.refused();
                self.close(index);
            }
        }
    }

    fn take(&mut self, slot: u32, generation: u32, request: &Request<'_>) {
        let now = monotonic_ns();
        if request.is_get {
            let body = match request.path {
                b"/stats" => serde_json::to_string(&self.ledger.stats(now)),
                b"/arrivals" => serde_json::to_string(self.ledger.arrivals()),
                _ => Ok("{}".to_owned()),
            };
            let body = body.unwrap_or_default();
            return self.write(slot, generation, body.as_bytes());
        }
        self.ledger.came(request.job, request.body_bytes, now);
        let answer = Answer {
            due_ns: now + self.latency_ns,
            came_ns: now,
            slot,
            generation,
            id: request.id,
        };
        if self.latency_ns == 0 {
            self.answer(&answer, now);
        } else {
            self.due.push_back(answer);
        }
    }

    fn answer_due(&mut self) {
        let mut now = monotonic_ns();
        while let Some(next) = self.due.front() {
            if next.due_ns > now {
                now = monotonic_ns();
                if next.due_ns > now {
                    return;
                }
            }
            if let Some(answer) = self.due.pop_front() {
                self.answer(&answer, now);
            }
        }
    }

    fn answer(&mut self, answer: &Answer, now: u64) {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":{},"result":{{"content":[{{"type":"text","text":"done"}}],"isError":false}}}}"#,
            answer.id
        );
        let open = self.slots[answer.slot as usize].connection.is_some()
            && self.slots[answer.slot as usize].generation == answer.generation;
        self.ledger.answered(open, now - answer.came_ns);
        self.write(answer.slot, answer.generation, body.as_bytes());
    }

    fn write(&mut self, index: u32, generation: u32, body: &[u8]) {
        let slot = &mut self.slots[index as usize];
        if slot.generation != generation {
            return;
        }
        let Some(connection) = &mut slot.connection else {
            return;
        };
        self.output.clear();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ";
        self.output.extend_from_slice(head.as_bytes());
        let _ = write!(self.output, "{}\r\n\r\n", body.len());
        self.output.extend_from_slice(body);
        // An answer fits the socket's buffer; a peer that does not read loses its connection.
        if connection.stream.write_all(&self.output).is_err() {
            self.close(index);
        }
    }

    fn close(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        slot.connection = None;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(index);
    }
}
