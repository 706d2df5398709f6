//! The whole system: real Kafka, the real server and worker as processes of their own, MCP servers that we did not write,
//! and the command line.

mod binaries;
mod command;
mod dev;
mod keep;
mod kills;
mod metrics;
mod outages;
mod pair;
mod processes;
mod publish;
mod real_servers;
mod refusals;
mod submit;
mod svg_jobs;
mod trace;
mod traced_child;
mod wait;
