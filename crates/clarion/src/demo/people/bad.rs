//! Rows that are no leads, each for its own reason.

use super::Person;

/// One way to spoil a row.
pub(super) struct Kind {
    /// What the reason must name: a column, or what is wrong with the row.
    pub(super) reason: &'static str,
    pub(super) spoil: fn(&Person) -> Vec<u8>,
}

/// A row with some of its cells replaced.
fn with(person: &Person, column: &str, cell: impl AsRef<[u8]>) -> Vec<u8> {
    let mut cells = person.cells();
    if let Some(at) = super::COLUMNS.iter().position(|name| *name == column) {
        cells[at] = cell.as_ref().to_vec();
    }
    super::row(&cells)
}

fn email(person: &Person, email: impl AsRef<[u8]>) -> Vec<u8> {
    with(person, "email", email)
}

macro_rules! kinds {
    ($($reason:literal: |$person:ident| $row:expr,)+) => {
        [$(Kind { reason: $reason, spoil: |$person| $row }),+]
    };
}

pub(super) const KINDS: [Kind; 27] = kinds! {
    "email": |p| email(p, p.email.replace('@', " at ")),
    "email": |p| email(p, ""),
    "email": |p| email(p, p.email.replace('@', "@@")),
    "email": |p| email(p, format!("a@{}", p.email)),
    "email": |p| email(p, p.email.replace('.', " ")),
    "email": |p| email(p, format!("{}@post.example", "x".repeat(65))),
    "email": |p| email(p, format!("x@{}.example", "long.".repeat(60))),
    "email": |p| email(p, "somebody@localhost"),
    "email": |p| email(p, "somebody@-dash.example"),
    "email": |p| email(p, "somebody@two..dots.example"),
    "email": |p| email(p, ".dot@post.example"),
    "email": |p| email(p, "\"quoted local\"@post.example"),
    "email": |p| email(p, "a@post.example\r\nBcc: eve@post.example"),
    "NUL": |p| email(p, p.email.replace('@', "\0@")),
    "UTF-8": |p| email(p, b"j\xf6rg@post.example"),
    "NUL": |p| with(p, "first_name", "zero\0byte"),
    "UTF-8": |p| with(p, "first_name", b"J\xf6rg in Latin-1"),
    "control": |p| with(p, "last_name", "bell\u{7}"),
    "200": |p| with(p, "company", "long ".repeat(50)),
    "status": |p| with(p, "status", "Kaiser"),
    "score": |p| with(p, "score", "many"),
    "timezone": |p| with(p, "timezone", "Mars/Olympus_Mons"),
    "locale": |p| with(p, "locale", "English (US)"),
    "attributes.note": |p| with(p, "attributes.note", "x".repeat(10_001)),
    "cells": |p| super::row(&p.cells()[..5]),
    "cells": |p| super::row(&[p.cells(), vec![b"surplus".to_vec()]].concat()),
    "cells": |p| format!("{};{};{}\r\n", p.email, p.first_name, p.last_name).into_bytes(),
};

/// The last row of the file opens a quote and never closes it.
pub(super) const UNCLOSED: &[u8] = b"unclosed@post.example,\"Never,Ends\r\n";
