//! A connection of libpq without Diesel, for what Diesel cannot say: several statements in one round
//! trip, one of which takes rows in (PostgreSQL's documentation of the protocol, "Multiple
//! Statements in a Simple Query", and of libpq, "Functions Associated with the COPY Command").

#![expect(unsafe_code, reason = "libpq has no safe interface")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fmt;
use std::ptr::{self, NonNull};

use common::values::Secret;
use diesel::QueryResult;
use diesel::result::{DatabaseErrorInformation, DatabaseErrorKind, Error as QueryError};
use pq_sys::{ConnStatusType, ExecStatusType, PGconn, PGresult};

/// A connection of its own, for one thread at a time.
pub struct Connection(NonNull<PGconn>);

// SAFETY: libpq lets any thread use a connection, but one at a time: it is not `Sync`.
unsafe impl Send for Connection {}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connection")
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // SAFETY: it is open, and nobody can use it after this.
        unsafe { pq_sys::PQfinish(self.0.as_ptr()) }
    }
}

impl Connection {
    /// Blocks until it is open and `setup` is done.
    pub(crate) fn open(url: &Secret, setup: &str) -> QueryResult<Self> {
        let url = text(url.expose())?;
        // SAFETY: the text ends with NUL.
        let conn = NonNull::new(unsafe { pq_sys::PQconnectdb(url.as_ptr()) });
        let conn = conn.ok_or_else(|| away("libpq has no memory".into()))?;
        let mut conn = Self(conn);
        // SAFETY: it is open, as far as it could be.
        if unsafe { pq_sys::PQstatus(conn.0.as_ptr()) } != ConnStatusType::CONNECTION_OK {
            return Err(away(conn.trouble()));
        }
        // SAFETY: the function keeps nothing.
        unsafe { pq_sys::PQsetNoticeProcessor(conn.0.as_ptr(), Some(unheard), ptr::null_mut()) };
        conn.run(setup)?;
        Ok(conn)
    }

    /// Runs statements in one round trip. They are one transaction unless they say otherwise.
    pub fn run(&mut self, statements: &str) -> QueryResult<()> {
        self.send(statements)?;
        self.answers(None)
    }

    /// The same with a `COPY … FROM STDIN` among them, which takes `rows` in.
    pub fn copy(&mut self, statements: &str, rows: &[u8]) -> QueryResult<()> {
        self.send(statements)?;
        self.answers(Some(rows))
    }

    fn send(&mut self, statements: &str) -> QueryResult<()> {
        let statements = text(statements)?;
        // SAFETY: it is open and the text ends with NUL.
        match unsafe { pq_sys::PQsendQuery(self.0.as_ptr(), statements.as_ptr()) } {
            1 => Ok(()),
            _ => Err(away(self.trouble())),
        }
    }

    /// Reads what the statements answer, up to the end; the first error counts.
    fn answers(&mut self, mut rows: Option<&[u8]>) -> QueryResult<()> {
        let mut done = Ok(());
        // SAFETY: it is open; what it answers is owned by `Answer`.
        while let Some(answer) = Answer::of(unsafe { pq_sys::PQgetResult(self.0.as_ptr()) }) {
            match (answer.status(), rows.take()) {
                (ExecStatusType::PGRES_COPY_IN, Some(rows)) => {
                    self.put(rows)?;
                    self.end_copy(None)?;
                }
                (ExecStatusType::PGRES_COPY_IN, None) => self.end_copy(Some(c"no rows for it"))?,
                (ExecStatusType::PGRES_COMMAND_OK | ExecStatusType::PGRES_TUPLES_OK, still) => {
                    rows = still;
                }
                (_, still) => {
                    rows = still;
                    done = done.and_then(|()| Err(self.error(&answer)));
                }
            }
        }
        match rows.is_some() && done.is_ok() {
            true => Err(unfit("no statement takes rows")),
            false => done,
        }
    }

    fn put(&mut self, rows: &[u8]) -> QueryResult<()> {
        // Lengths are signed words of 32 bits.
        for piece in rows.chunks(1 << 30) {
            let (start, length) = (piece.as_ptr().cast::<c_char>(), piece.len() as c_int);
            // SAFETY: it is open, and so many bytes are there.
            if unsafe { pq_sys::PQputCopyData(self.0.as_ptr(), start, length) } != 1 {
                return Err(away(self.trouble()));
            }
        }
        Ok(())
    }

    /// Ends the rows; by `refusal` so that they are not taken.
    fn end_copy(&mut self, refusal: Option<&CStr>) -> QueryResult<()> {
        let refusal = refusal.map_or(ptr::null(), CStr::as_ptr);
        // SAFETY: it is open, and the text, if any, ends with NUL.
        match unsafe { pq_sys::PQputCopyEnd(self.0.as_ptr(), refusal) } {
            1 => Ok(()),
            _ => Err(away(self.trouble())),
        }
    }

    /// What last went wrong with the connection itself.
    fn trouble(&self) -> String {
        // SAFETY: it is open, as far as it could be; the text is copied at once.
        let message = unsafe { CStr::from_ptr(pq_sys::PQerrorMessage(self.0.as_ptr())) };
        message.to_string_lossy().trim().to_owned()
    }

    fn error(&self, answer: &Answer) -> QueryError {
        // SAFETY: it is open.
        let lost = unsafe { pq_sys::PQstatus(self.0.as_ptr()) } != ConnStatusType::CONNECTION_OK;
        if lost {
            return away(self.trouble());
        }
        let kind = match answer.field(pq_sys::PG_DIAG_SQLSTATE).as_deref() {
            Some("23505") => DatabaseErrorKind::UniqueViolation,
            Some("40001") => DatabaseErrorKind::SerializationFailure,
            _ => DatabaseErrorKind::Unknown,
        };
        let message = answer.field(pq_sys::PG_DIAG_MESSAGE_PRIMARY);
        let told = Told {
            message: message.unwrap_or_else(|| self.trouble()),
            details: answer.field(pq_sys::PG_DIAG_MESSAGE_DETAIL),
            table: answer.field(pq_sys::PG_DIAG_TABLE_NAME),
            constraint: answer.field(pq_sys::PG_DIAG_CONSTRAINT_NAME),
        };
        QueryError::DatabaseError(kind, Box::new(told))
    }
}

/// What one statement answered.
struct Answer(NonNull<PGresult>);

impl Answer {
    /// `answer` must be libpq's, and nobody else's.
    fn of(answer: *mut PGresult) -> Option<Self> {
        NonNull::new(answer).map(Self)
    }

    fn status(&self) -> ExecStatusType {
        // SAFETY: it is there until it is dropped.
        unsafe { pq_sys::PQresultStatus(self.0.as_ptr()) }
    }

    fn field(&self, code: u8) -> Option<String> {
        // SAFETY: it is there until it is dropped; the text is copied before.
        unsafe {
            let text = pq_sys::PQresultErrorField(self.0.as_ptr(), code.into());
            let text = (!text.is_null()).then(|| CStr::from_ptr(text));
            text.map(|text| text.to_string_lossy().into_owned())
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // SAFETY: it is there, and nobody can use it after this.
        unsafe { pq_sys::PQclear(self.0.as_ptr()) }
    }
}

/// What Postgres says of an error.
#[derive(Debug)]
struct Told {
    message: String,
    details: Option<String>,
    table: Option<String>,
    constraint: Option<String>,
}

impl DatabaseErrorInformation for Told {
    fn message(&self) -> &str {
        &self.message
    }

    fn details(&self) -> Option<&str> {
        self.details.as_deref()
    }

    fn hint(&self) -> Option<&str> {
        None
    }

    fn table_name(&self) -> Option<&str> {
        self.table.as_deref()
    }

    fn column_name(&self) -> Option<&str> {
        None
    }

    fn constraint_name(&self) -> Option<&str> {
        self.constraint.as_deref()
    }

    fn statement_position(&self) -> Option<i32> {
        None
    }
}

fn text(text: &str) -> QueryResult<CString> {
    CString::new(text).map_err(|_| unfit("a statement has a NUL in it"))
}

fn unfit(why: &'static str) -> QueryError {
    QueryError::QueryBuilderError(why.into())
}

fn away(why: String) -> QueryError {
    QueryError::DatabaseError(DatabaseErrorKind::ClosedConnection, Box::new(why))
}

/// Where libpq would print notices.
extern "C" fn unheard(_: *mut c_void, _: *const c_char) {}
