//! Fields that every log line of a piece of work carries, such as the trace's id, whoever writes the line: a library too.
//! They need no span, so they are there whether traces are exported or not.

use std::fmt;
use std::future::Future;

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Names and values, in the order in which they are shown.
pub type Fields = Vec<(&'static str, String)>;

/// The id of a W3C trace: 32 hexadecimal digits.
pub const TRACE_ID: &str = "trace_id";

tokio::task_local! {
    static FIELDS: Fields;
}

/// Runs `work`; each line that it logs, on whatever thread, carries `fields`. What it spawns does not.
pub async fn with<F: Future>(fields: Fields, work: F) -> F::Output {
    FIELDS.scope(fields, work).await
}

/// A format of lines, and behind each of them the fields of the work that wrote it.
pub(crate) struct Fielded<F> {
    pub(crate) format: F,
    pub(crate) is_json: bool,
}

impl<S, N, F> FormatEvent<S, N> for Fielded<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let fields = FIELDS.try_with(|fields| append(fields, self.is_json));
        let Ok(fields) = fields else {
            return self.format.format_event(context, writer, event);
        };
        let mut line = String::new();
        let buffer = Writer::new(&mut line);
        self.format.format_event(context, buffer, event)?;
        let end = if self.is_json { "}\n" } else { "\n" };
        let kept = line.strip_suffix(end).unwrap_or(&line);
        write!(writer, "{kept}{fields}{end}")
    }
}

fn append(fields: &Fields, is_json: bool) -> String {
    let shown = fields.iter().map(|(name, value)| match is_json {
        true => format!(",\"{name}\":{}", serde_json::Value::from(value.as_str())),
        false => format!(" {name}={value:?}"),
    });
    shown.collect()
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::format;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    async fn log(is_json: bool) -> Vec<String> {
        let written = Written::default();
        let sink = written.clone();
        let layer = tracing_subscriber::fmt::layer().with_writer(move || sink.clone());
        let plain = format().with_ansi(false).without_time();
        let layer: Box<dyn tracing_subscriber::Layer<_> + Send + Sync> =
            match is_json {
                true => Box::new(layer.fmt_fields(format::JsonFields::new()).event_format(
                    Fielded {
                        format: plain.json().flatten_event(true),
                        is_json,
                    },
                )),
                false => Box::new(layer.event_format(Fielded {
                    format: plain,
                    is_json,
                })),
            };
        let subscriber = tracing_subscriber::registry().with(layer);
        let _guard = tracing::subscriber::set_default(subscriber);
        tracing::info!("before");
        let fields = vec![(TRACE_ID, "4bf9".to_owned()), ("job_id", "a\"b".to_owned())];
        with(fields, async {
            tokio::task::yield_now().await;
            tracing::info!(n = 1, "within");
        })
        .await;
        let bytes = written.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[tokio::test]
    async fn lines_of_a_piece_of_work_carry_its_fields_and_others_do_not() {
        let text = log(false).await;
        assert!(text[0].ends_with("before"), "{text:?}");
        let end = r#"within n=1 trace_id="4bf9" job_id="a\"b""#;
        assert!(text[1].ends_with(end), "{text:?}");

        let json = log(true).await;
        let lines: Vec<serde_json::Value> = json
            .iter()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines[0].get(TRACE_ID), None);
        let within = ["message", "n", TRACE_ID, "job_id"].map(|name| lines[1][name].clone());
        let wanted = serde_json::json!(["within", 1, "4bf9", "a\"b"]);
        assert_eq!(serde_json::Value::from(within.to_vec()), wanted);
    }
}
