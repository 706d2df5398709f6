//! Roles that behave and roles that do not, for the tests of `confined`.

use std::io::{Read as _, Write as _};
use std::net::{TcpStream, UdpSocket};
use std::process::Command;

use mcp_sandbox::confined::{Role, run_if_requested};

const ROLES: &[Role] = &[
    Role::new("reverse", |mut input| {
        input.reverse();
        Ok(input)
    }),
    Role::new("refuse", |_| Err("this is no picture".into())),
    Role::new("spin", |_| {
        loop {
            std::hint::spin_loop();
        }
    }),
    Role::new("wait", |_| {
        loop {
            std::thread::park();
        }
    }),
    Role::new("allocate", |_| {
        let mut held = Vec::new();
        loop {
            held.push(vec![1_u8; 1 << 20]);
        }
    }),
    Role::new("panic", |_| panic!("out of cheese")),
    Role::new("overflow", |_| Ok(vec![deeper(1)])),
    Role::new("flood", |input| Ok(vec![0; input.len() * 1_000])),
    Role::new("flood-errors", |_| {
        let _ = std::io::stderr().write_all(&vec![b'x'; 64 << 20]);
        Ok(Vec::new())
    }),
    Role::new("in-threads", |input| {
        let threads: Vec<_> = (0..4_u8).map(|n| std::thread::spawn(move || n)).collect();
        let sum: u8 = threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or(0))
            .sum();
        Ok([input, vec![sum]].concat())
    }),
    Role::new("attempt", |input| {
        let what = String::from_utf8_lossy(&input).into_owned();
        let done = attempt(&what);
        Ok(done
            .map_or_else(|error| error, |got| format!("GOT {got}"))
            .into_bytes())
    }),
];

fn main() {
    run_if_requested(ROLES);
}

fn deeper(depth: u64) -> u8 {
    let here = [depth; 64];
    if std::hint::black_box(here)[0] == u64::MAX {
        return 0;
    }
    deeper(depth + 1).wrapping_add(here[1] as u8)
}

/// What came of it, or how it failed.
fn attempt(what: &str) -> Result<String, String> {
    let text = |error: std::io::Error| error.to_string();
    match what.split_once(' ').unwrap_or((what, "")) {
        ("read", path) => {
            let mut got = String::new();
            let mut file = std::fs::File::open(path).map_err(text)?;
            file.read_to_string(&mut got).map_err(text)?;
            Ok(got)
        }
        ("write", path) => std::fs::write(path, "x")
            .map(|()| "in".into())
            .map_err(text),
        ("tcp", address) => TcpStream::connect(address)
            .map(|_| "through".into())
            .map_err(text),
        ("udp", address) => UdpSocket::bind(address)
            .map(|_| "bound".into())
            .map_err(text),
        ("run", program) => Command::new(program)
            .spawn()
            .map(|_| "started".into())
            .map_err(text),
        (other, _) => Err(format!("no such attempt: {other}")),
    }
}
