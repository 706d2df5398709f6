#![doc = include_str!("../README.md")]

mod builder;
mod client;
mod exchange;
mod handshake;
mod http_failure;
mod json_rpc;
mod negotiation;
mod param_headers;
mod readiness;
mod redaction;
mod refusal;
mod retry_after;
mod server_url;
mod session;
mod sse;
mod sse_transport;
mod tool_call;
mod tool_list;

pub use builder::{BuildError, McpClientBuilder};
pub use client::McpClient;
pub use exchange::Propagation;
pub use handshake::Handshake;
pub use readiness::Readiness;
pub use server_url::ServerUrl;
pub use tool_call::{CallToolResult, ToolCall};
