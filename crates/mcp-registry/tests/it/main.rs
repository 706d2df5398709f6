//! Whole documents, good and bad.

mod corpus;
mod documents;
