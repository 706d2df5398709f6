#![doc = include_str!("../README.md")]

mod fields;
pub mod issue;
mod name;
mod number;
mod oci;
mod package;
pub mod publication;
mod schema;
mod server;
mod tool_schema;
mod tools;
mod transport;
mod url_template;
pub mod version;

pub use issue::{Issue, Issues};
pub use publication::{Publication, Validator, content_hash};
pub use schema::SCHEMA_URL;
pub use server::{OFFICIAL_META, PUBLISHER_META};
