//! Ports for programs that must be told theirs before they start.

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher,
    net::{Ipv4Addr, TcpListener},
};

/// Below the range from which Linux gives ports to outgoing connections, so that none of those takes the port of a broker
/// that is about to start again.
const RANGE: std::ops::Range<u64> = 20_000..32_000;

/// A loopback port that nobody listens on. Another process may still be faster: whoever uses it tries again with a new one.
pub fn free_port() -> u16 {
    loop {
        let random = RandomState::new().hash_one(()) % (RANGE.end - RANGE.start);
        let port = u16::try_from(RANGE.start + random).expect("the range holds ports");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
