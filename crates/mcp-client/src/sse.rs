//! Server-sent events (WHATWG HTML §9.2), read from chunks as they arrive.

use std::time::Duration;

/// One dispatched event.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    /// The event's type; empty means `message`.
    pub(crate) name: String,
    /// Its lines of data, joined by line feeds.
    pub(crate) data: String,
}

/// Turns bytes into events. It holds at most one incomplete event; whoever feeds it bounds the bytes.
#[derive(Debug, Default)]
pub(crate) struct EventParser {
    line: Vec<u8>,
    after_cr: bool,
    past_first_line: bool,
    event: Event,
    has_data: bool,
    /// The last event id seen: where a stream can be taken up again.
    pub(crate) last_id: Option<String>,
    /// How long the server asks to wait before taking it up.
    pub(crate) retry: Option<Duration>,
}

impl EventParser {
    /// The events that `chunk` completes.
    pub(crate) fn push(&mut self, chunk: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        for &byte in chunk {
            let ends_a_crlf = byte == b'\n' && self.after_cr;
            self.after_cr = byte == b'\r';
            match byte {
                _ if ends_a_crlf => {}
                b'\n' | b'\r' => events.extend(self.end_line()),
                _ => self.line.push(byte),
            }
        }
        events
    }

    /// The parser for the stream that continues this one after the event `last_id`.
    pub(crate) fn resumed(self, last_id: String) -> Self {
        Self {
            last_id: Some(last_id),
            retry: self.retry,
            ..Self::default()
        }
    }

    fn end_line(&mut self) -> Option<Event> {
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
        let line = match self.past_first_line {
            true => line.as_str(),
            false => line.strip_prefix('\u{feff}').unwrap_or(&line),
        };
        self.past_first_line = true;
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            return std::mem::take(&mut self.has_data).then_some(event);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.event.name = value.to_owned(),
            "data" => {
                if self.has_data {
                    self.event.data.push('\n');
                }
                self.has_data = true;
                self.event.data.push_str(value);
            }
            "id" if !value.contains('\0') => self.last_id = Some(value.to_owned()),
            "retry" => self.retry = value.parse().map(Duration::from_millis).ok().or(self.retry),
            // Comments and unknown fields.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, data: &str) -> Event {
        Event {
            name: name.into(),
            data: data.into(),
        }
    }

    #[test]
    fn events_are_the_same_however_the_bytes_are_cut_and_lines_end() {
        let text = "\u{feff}: hello\nevent: a\ndata: 1\ndata:2\n\nid: 7\nretry: 250\ndata\n\ndata: ü\n\nevent: lost\n\n";
        let expected = [event("a", "1\n2"), event("", ""), event("", "ü")];
        for ending in ["\n", "\r", "\r\n"] {
            let bytes = text.replace('\n', ending).into_bytes();
            for size in 1..bytes.len() {
                let mut parser = EventParser::default();
                let events: Vec<_> = bytes.chunks(size).flat_map(|c| parser.push(c)).collect();
                assert_eq!(events, expected, "{ending:?} {size}");
                assert_eq!(parser.last_id.as_deref(), Some("7"));
                assert_eq!(parser.retry, Some(Duration::from_millis(250)));
            }
        }
    }

    #[test]
    fn an_event_that_was_not_completed_is_not_dispatched() {
        assert_eq!(EventParser::default().push(b"data: 1\n"), []);
    }
}
