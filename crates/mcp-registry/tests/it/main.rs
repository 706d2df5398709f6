//! Whole documents, good and bad.

mod corpus;
mod documents;
mod tool_schemas;
