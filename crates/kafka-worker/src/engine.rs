//! The engine: Kafka records in, jobs out, offsets committed only behind finished jobs.
//!
//! ```text
//!   poll thread (owns the consumer)                 tokio
//!   ┌───────────────────────────────┐  bounded   ┌─────────────────────────────────┐
//!   │ intake: poll, pause, rebalance│──records──▶│ dispatcher: lanes, permits,     │──▶ attempt ──▶ MCP server
//!   │ tracker: committable offset   │◀──done─────│ due-time heap, breaker          │──▶ outbox  ──▶ dead letters
//!   └───────────────────────────────┘            └─────────────────────────────────┘
//! ```
//!
//! Pure parts: `tracker`, `finished_ahead`, `scheduler`, `flow`. Beside the two halves an `observer` thread with a client of its own looks at
//! lag and progress. An assignment of a partition is an
//! `ownership`: it carries the epoch that fences late results, and counts what is in flight for the drain.

pub mod dispatcher;
pub mod finished_ahead;
pub mod flow;
pub mod intake;
pub mod job;
pub mod observer;
pub mod ownership;
pub mod scheduler;
pub mod tracker;
pub mod workshop;
