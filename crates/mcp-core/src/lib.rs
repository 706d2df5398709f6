#![doc = include_str!("../README.md")]

pub mod clock;
pub mod envelope;
pub mod error_code;
pub mod failure;
pub mod idempotency;
pub mod job;
pub mod job_result;
pub mod retry;
pub mod secret;
pub mod servers_config;
pub mod text;
pub mod tool;

pub use clock::Clock;
pub use envelope::JobEnvelope;
pub use error_code::{Blame, Class, ErrorCode};
pub use failure::Failure;
pub use idempotency::IdempotencyKey;
pub use job::{JobType, Step};
pub use job_result::{JobResult, JobStatus};
pub use retry::RetryPolicy;
pub use secret::Secret;
pub use servers_config::{McpServersConfig, RemoteKind, RemoteServer, ServerConfig, StdioServer};
pub use tool::svg::{ArtifactRef, GenerateSvgArgs, RefineSvgArgs, RemovedContent, SvgResult};
pub use tool::{
    PublishServerArgs, PublishServerResult, ServerInitializeArgs, ServerInitializeResult, ToolError,
};
