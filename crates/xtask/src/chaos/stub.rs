//! An MCP server that fails on plan, and notes each call in a few bytes.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONTENT_TYPE, RETRY_AFTER};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::history::{Call, NEVER, Recorder, Verdict};
use super::plan::Outage;
use super::workload::{Fault, Kind, Workload, parse_name};

/// Largest request that is read.
const REQUEST_MAX: usize = 256 * 1024;
/// Longer than any caller waits.
const HANG: Duration = Duration::from_secs(20);

/// The server, as all of its connections share it. Workers are told apart by the path: `/w{instance}`.
pub(crate) struct Stub {
    recorder: Recorder,
    workload: Workload,
    outage: Mutex<Option<Outage>>,
    /// Calls so far, by record and step.
    seen: Mutex<HashMap<(u32, u8), u32>>,
}

/// The caller's connection is to be reset in place of an answer.
#[derive(Debug)]
struct Reset;

impl std::fmt::Display for Reset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("reset on plan")
    }
}

impl std::error::Error for Reset {}

#[derive(Deserialize)]
struct Rpc {
    id: Value,
    method: String,
    #[serde(default)]
    params: Params,
}

#[derive(Deserialize, Default)]
struct Params {
    #[serde(default)]
    arguments: Arguments,
}

#[derive(Deserialize, Default)]
struct Arguments {
    #[serde(default)]
    name: String,
}

/// Notes the end of a call, also when its future is dropped.
struct Noted<'a> {
    recorder: &'a Recorder,
    index: usize,
    verdict: Verdict,
}

impl Drop for Noted<'_> {
    fn drop(&mut self) {
        let end = self.recorder.now();
        let call = &mut self.recorder.history().calls[self.index];
        call.end = end;
        call.verdict = self.verdict;
    }
}

impl Stub {
    /// Starts it, and returns it with its port.
    pub(crate) async fn start(
        recorder: Recorder,
        workload: Workload,
    ) -> anyhow::Result<(Arc<Self>, u16)> {
        let stub = Arc::new(Self {
            recorder,
            workload,
            outage: Mutex::default(),
            seen: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .context("the stub server")?;
        let port = listener.local_addr()?.port();
        let served = stub.clone();
        tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    continue;
                };
                let _ = stream.set_nodelay(true);
                // What is closed without an answer is reset.
                let _ = stream.set_zero_linger();
                let stub = served.clone();
                tokio::spawn(async move {
                    let service = service_fn(|request| stub.answer(request));
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Ok((stub, port))
    }

    pub(crate) fn set_outage(&self, outage: Option<Outage>) {
        *self.outage.lock().unwrap_or_else(PoisonError::into_inner) = outage;
    }

    fn outage(&self) -> Option<Outage> {
        *self.outage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<String>, Reset> {
        let path = request.uri().path().to_owned();
        let outage = self.outage();
        if request.method() == Method::GET {
            return Ok(match (path.as_str(), outage) {
                ("/ready", Some(Outage::Unavailable | Outage::Refused)) => status(503),
                ("/ready", _) => status(200),
                _ => status(404),
            });
        }
        let worker = path.strip_prefix("/w").and_then(|id| id.parse().ok());
        let rpc: Option<Rpc> = match read(request.into_body()).await {
            Some(body) => serde_json::from_slice(&body).ok(),
            None => None,
        };
        let (Some(worker), Some(rpc)) = (worker, rpc) else {
            return Ok(status(404));
        };
        let answer = |code: u16, name: &str, value: Value| {
            let answer = json!({"jsonrpc": "2.0", "id": rpc.id, name: value});
            Ok(message(code, &answer))
        };
        match (rpc.method.as_str(), outage) {
            ("tools/call", _) => {}
            (_, Some(outage)) => return Ok(status(outage.status())),
            ("tools/list", None) => {
                let list = json!({"resultType": "complete", "tools": []});
                return answer(200, "result", list);
            }
            (_, None) => {
                let error = json!({"code": -32601, "message": "no such method"});
                return answer(404, "error", error);
            }
        }
        match parse_name(&rpc.params.arguments.name) {
            Some((number, step)) => self.call(rpc.id, number, step, worker, outage).await,
            None => Ok(status(422)),
        }
    }

    async fn call(
        &self,
        id: Value,
        number: u32,
        step: u8,
        worker: u16,
        outage: Option<Outage>,
    ) -> Result<Response<String>, Reset> {
        let mut noted = self.note(number, step, worker);
        if let Some(outage) = outage {
            return Ok(refuse(&mut noted, outage.status()));
        }
        let before = self.count(number, step);
        let fault = self.workload.fault(number, step, before);
        let latency = self.workload.latency(number, step, before);
        match fault {
            Some(Fault::Unavailable(when)) => {
                let mut refused = refuse(&mut noted, 503);
                if when {
                    refused.headers_mut().insert(RETRY_AFTER, 1.into());
                }
                return Ok(refused);
            }
            Some(Fault::TooMany) => {
                let mut refused = refuse(&mut noted, 429);
                refused.headers_mut().insert(RETRY_AFTER, 1.into());
                return Ok(refused);
            }
            Some(Fault::ServerError) => return Ok(refuse(&mut noted, 500)),
            Some(Fault::Hang) => {
                tokio::time::sleep(HANG).await;
                return Err(Reset);
            }
            Some(Fault::ResetBefore) => {
                noted.verdict = Verdict::Reset;
                return Err(Reset);
            }
            Some(Fault::ResetAfter | Fault::ToolUnavailable) | None => {}
        }
        tokio::time::sleep(latency).await;
        if fault == Some(Fault::ResetAfter) {
            noted.verdict = Verdict::DoneAndReset;
            return Err(Reset);
        }
        let content = json!([{"type": "text", "text": "done"}]);
        let failed = |retryable: bool| {
            let error = json!({"code": "chaos", "retryable": retryable});
            json!({"resultType": "complete", "isError": true, "content": content, "_meta": {"io.mcp-hybrid/error": error}})
        };
        let result = if fault == Some(Fault::ToolUnavailable) {
            noted.verdict = Verdict::ToolTransient;
            failed(true)
        } else if self.workload.kind(number) == Kind::Permanent {
            noted.verdict = Verdict::ToolPermanent;
            failed(false)
        } else {
            noted.verdict = Verdict::Success;
            json!({"resultType": "complete", "content": content})
        };
        Ok(message(
            200,
            &json!({"jsonrpc": "2.0", "id": id, "result": result}),
        ))
    }

    fn note(&self, number: u32, step: u8, worker: u16) -> Noted<'_> {
        let mut history = self.recorder.history();
        history.calls.push(Call {
            number,
            step,
            worker,
            // Read under the lock, so that calls are in the order of their beginnings.
            start: self.recorder.now(),
            end: NEVER,
            verdict: Verdict::Gone,
        });
        Noted {
            recorder: &self.recorder,
            index: history.calls.len() - 1,
            verdict: Verdict::Gone,
        }
    }

    /// How often the step was called before, outages not counted.
    fn count(&self, number: u32, step: u8) -> u32 {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let count = seen.entry((number, step)).or_default();
        *count += 1;
        *count - 1
    }
}

fn refuse(noted: &mut Noted<'_>, code: u16) -> Response<String> {
    noted.verdict = Verdict::Refused(code);
    status(code)
}

fn status(code: u16) -> Response<String> {
    let mut response = Response::new(String::new());
    *response.status_mut() =
        StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}

fn message(code: u16, message: &Value) -> Response<String> {
    let mut response = status(code);
    *response.body_mut() = message.to_string();
    let json = hyper::header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

async fn read(mut body: Incoming) -> Option<Vec<u8>> {
    let mut read = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let data = frame.ok()?.into_data().ok()?;
        read.extend_from_slice(&data);
        if read.len() > REQUEST_MAX {
            return None;
        }
    }
    Some(read)
}
