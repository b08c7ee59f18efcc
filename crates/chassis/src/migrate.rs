//! Schemas, roles and migrations: one schema and one login role per service.

use std::time::Duration;

use common::auth::Service;
use common::values::Secret;
use diesel::connection::SimpleConnection;
use diesel::sql_types::{BigInt, Bool, Text};
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl, sql_query};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

const CHASSIS: EmbeddedMigrations = embed_migrations!("migrations");

/// Why the schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    #[error("cannot connect to the database: {0}")]
    Connect(#[from] diesel::ConnectionError),
    #[error("cannot prepare schema {schema}: {cause}")]
    Prepare {
        schema: &'static str,
        cause: diesel::result::Error,
    },
    #[error("a migration of {schema} failed: {cause}")]
    Migration { schema: &'static str, cause: String },
}

#[derive(QueryableByName)]
struct Locked {
    #[diesel(sql_type = Bool)]
    locked: bool,
}

/// The login role of a service.
pub fn role(service: Service) -> String {
    format!("clarion_{service}")
}

/// Makes the service's role and schema. Needs a role that may do so; doing it again changes
/// nothing but the password.
///
/// Whoever owns a schema alone may use it: nothing is granted to anybody else.
pub fn prepare(
    admin_url: &Secret,
    service: Service,
    password: &Secret,
) -> Result<(), MigrateError> {
    let schema = service.as_str();
    let role = role(service);
    let mut conn = PgConnection::establish(admin_url.expose())?;
    let quoted = password.expose().replace('\'', "''");
    let sql = format!(
        "DO $$ BEGIN CREATE ROLE {role} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
         ALTER ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD '{quoted}';
         DO $$ BEGIN EXECUTE format('GRANT {role} TO %I', current_user); END $$;
         CREATE SCHEMA IF NOT EXISTS {schema} AUTHORIZATION {role};
         REVOKE ALL ON SCHEMA {schema} FROM PUBLIC;
         REVOKE CREATE ON SCHEMA public FROM PUBLIC;"
    );
    with_lock(&mut conn, "clarion roles", |conn| alone(conn, &sql))
        .map_err(|cause| MigrateError::Prepare { schema, cause })
}

/// Runs `sql`, again when another database of the same server changed the same role meanwhile:
/// roles belong to the server, advisory locks to a database.
fn alone(conn: &mut PgConnection, sql: &str) -> diesel::QueryResult<()> {
    const TRIES: u32 = 50;
    for _ in 1..TRIES {
        match conn.batch_execute(sql) {
            Err(error) if error.to_string().contains("tuple concurrently updated") => {
                std::thread::sleep(Duration::from_millis(20));
            }
            done => return done,
        }
    }
    conn.batch_execute(sql)
}

/// Applies what is missing of the chassis's and the service's migrations, as the service's role.
/// Several may try at once: one does it, the others wait.
pub fn run(
    url: &Secret,
    service: Service,
    migrations: EmbeddedMigrations,
) -> Result<(), MigrateError> {
    let schema = service.as_str();
    let mut conn = PgConnection::establish(url.expose())?;
    let failed = |cause: String| MigrateError::Migration { schema, cause };
    conn.batch_execute(&format!("SET search_path TO {schema}"))
        .map_err(|cause| MigrateError::Prepare { schema, cause })?;
    with_lock(&mut conn, &format!("clarion migrate {schema}"), |conn| {
        for source in [CHASSIS, migrations] {
            if let Err(error) = conn.run_pending_migrations(source) {
                return Ok(Err(failed(error.to_string())));
            }
        }
        Ok(Ok(()))
    })
    .map_err(|cause| MigrateError::Prepare { schema, cause })?
}

/// Runs `work` while holding the advisory lock `name`.
///
/// The lock is polled for: a waiter that sits inside `pg_advisory_lock` holds a snapshot, and
/// `CREATE INDEX CONCURRENTLY` in the holder waits for that snapshot forever.
fn with_lock<T>(
    conn: &mut PgConnection,
    name: &str,
    work: impl FnOnce(&mut PgConnection) -> diesel::QueryResult<T>,
) -> diesel::QueryResult<T> {
    let try_lock = "SELECT pg_try_advisory_lock(hashtextextended($1, 0)) AS locked";
    while !sql_query(try_lock)
        .bind::<Text, _>(name)
        .get_result::<Locked>(conn)?
        .locked
    {
        std::thread::sleep(Duration::from_millis(50));
    }
    let done = work(conn);
    let unlock = "SELECT pg_advisory_unlock(hashtextextended($1, $2)) AS locked";
    let released = sql_query(unlock)
        .bind::<Text, _>(name)
        .bind::<BigInt, _>(0)
        .get_result::<Locked>(conn);
    let done = done?;
    released?;
    Ok(done)
}
