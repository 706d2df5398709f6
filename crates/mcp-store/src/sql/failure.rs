//! What an error of the database means.

use mcp_core::text::bounded;
use sqlx::error::DatabaseError;

use crate::error::StoreError;

/// Longest text of an error that is passed on, in bytes.
const TEXT_MAX: usize = 200;

/// The error in our words. Its text is the database's own, never the URL.
pub(super) fn from_sql(error: sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::Database(error) => from_database(&*error),
        sqlx::Error::Io(error) => StoreError::Away(bounded(&error.to_string(), TEXT_MAX)),
        sqlx::Error::Tls(error) => StoreError::Away(bounded(&format!("TLS: {error}"), TEXT_MAX)),
        sqlx::Error::PoolTimedOut => StoreError::Away("no connection could be had in time".into()),
        sqlx::Error::PoolClosed => StoreError::Away("it is being closed".into()),
        sqlx::Error::WorkerCrashed => StoreError::Away("its thread has ended".into()),
        sqlx::Error::Protocol(text) => StoreError::Away(bounded(&text, TEXT_MAX)),
        // Its text may hold a part of the URL.
        sqlx::Error::Configuration(_) => {
            StoreError::NoPlace("DATABASE_URL or a file that it names does not fit".into())
        }
        other => StoreError::Broken(bounded(&other.to_string(), TEXT_MAX)),
    }
}

fn from_database(error: &dyn DatabaseError) -> StoreError {
    let text = bounded(error.message(), TEXT_MAX);
    let code = error.code().unwrap_or_default();
    match code.parse::<u32>() {
        // Five characters are an SQLSTATE, fewer one of SQLite's codes, whose last byte is the kind.
        Ok(code) if code < 10_000 => match code & 0xff {
            // BUSY, LOCKED, NOMEM, IOERR, FULL, PROTOCOL
            5 | 6 | 7 | 10 | 13 | 15 => StoreError::Away(text),
            // PERM, READONLY, CANTOPEN, AUTH, NOTADB
            3 | 8 | 14 | 23 | 26 => StoreError::NoPlace(text),
            _ => StoreError::Broken(text),
        },
        _ => match code.get(..2) {
            // Connection, transaction state or rollback, resources, prerequisites, an operator's hand, I/O.
            Some("08" | "25" | "40" | "53" | "55" | "57" | "58") => StoreError::Away(text),
            // Who we are, which database, what we may do in it.
            Some("28" | "3D" | "42") if code != "42P01" => StoreError::NoPlace(text),
            _ => StoreError::Broken(text),
        },
    }
}
