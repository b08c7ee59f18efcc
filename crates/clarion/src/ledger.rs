//! `clarion ledger`: whether messages are held because the database looks restored, and the
//! operator's word about it.

use std::path::PathBuf;

use anyhow::Context;
use chassis::migrate::role;
use chassis::settings::{Reader, Source};
use chrono::{DateTime, Utc};
use common::auth::Service as Name;
use common::values::Secret;
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use notifications::operator::{self, LedgerHold, Word};

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// A role that migrates, or the one of notifications; `DATABASE_URL` when absent, else the
    /// private Postgres of a running `clarion up` in CLARION_DATA_DIR
    #[arg(long, global = true)]
    database_url: Option<String>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand, Debug)]
enum Verb {
    /// Say whether the ledger is held, why, and who released it before
    Status,
    /// Send again after a restore, a move or a failover
    Release(Release),
}

#[derive(clap::Args, Debug)]
struct Release {
    /// What was pending becomes ambiguous: listed, sent only by POST /messages/retry (the default)
    #[arg(long, conflicts_with = "resend")]
    as_ambiguous: bool,
    /// What was pending is sent: right after a planned move with nothing lost
    #[arg(long)]
    resend: bool,
    /// Who says so, for the record; the user of this process when absent
    #[arg(long)]
    by: Option<String>,
}

impl Release {
    fn word(&self) -> Word {
        match self.resend {
            true => Word::Resend,
            false => Word::AsAmbiguous,
        }
    }
}

struct Settings {
    database_url: Secret,
    user: String,
}

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    let mut source = Source::from_process();
    if let Some(url) = args.database_url {
        source = source.with("DATABASE_URL", url);
    }
    let mut read = source.reader();
    let settings = read_settings(&mut read);
    let settings = read.finish(settings)?;
    let mut conn = connect(&settings.database_url)?;
    match args.verb {
        Verb::Status => print!("{}", status(&mut conn)?),
        Verb::Release(release) => {
            let by = release.by.as_deref().unwrap_or(&settings.user);
            let in_doubt = operator::release(&mut conn, release.word(), by, Utc::now())?;
            println!("released by {by}; {in_doubt} messages are ambiguous by this");
        }
    }
    Ok(())
}

fn read_settings(read: &mut Reader<'_>) -> Settings {
    let folder = read.or("CLARION_DATA_DIR", PathBuf::from("./.clarion"));
    let private = || {
        let url = laptop::Postgres::url_in(&folder.join("postgres"), "clarion");
        Secret::new(url.unwrap_or_default())
    };
    let database_url = read.optional_secret("DATABASE_URL").unwrap_or_else(private);
    if database_url.expose().is_empty() {
        read.refuse(
            "DATABASE_URL",
            "must be set where no `clarion up` with a Postgres of its own runs",
        );
    }
    Settings {
        database_url,
        user: read.or("USER", "unknown".to_owned()),
    }
}

/// A connection that works as notifications does.
fn connect(url: &Secret) -> anyhow::Result<PgConnection> {
    let mut conn = PgConnection::establish(url.expose()).context("cannot connect")?;
    let (schema, role) = (Name::Notifications.as_str(), role(Name::Notifications));
    conn.batch_execute(&format!("SET ROLE {role}; SET search_path TO {schema}"))
        .context("cannot work as notifications does")?;
    Ok(conn)
}

fn status(conn: &mut PgConnection) -> diesel::QueryResult<String> {
    let (holds, waiting) = (operator::holds(conn)?, operator::waiting(conn)?);
    let held = holds.first().filter(|hold| hold.released_at.is_none());
    let mut text = match held {
        Some(hold) => format!("held since {}: {}\n", at(hold.held_at), hold.reason),
        None => "not held\n".to_owned(),
    };
    text += &format!("{waiting} messages wait to be sent\n");
    for hold in &holds {
        text += &past(hold).unwrap_or_default();
    }
    Ok(text)
}

/// What was said about an earlier hold.
fn past(hold: &LedgerHold) -> Option<String> {
    let released = at(hold.released_at?);
    let (held, reason) = (at(hold.held_at), &hold.reason);
    let (by, how) = (hold.released_by.as_ref()?, hold.released_how.as_ref()?);
    let in_doubt = hold.in_doubt.unwrap_or_default();
    Some(format!(
        "{held} held: {reason}; {released} released by {by} ({how}, {in_doubt} ambiguous)\n"
    ))
}

fn at(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}
