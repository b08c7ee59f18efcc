//! A database per test, cloned from a migrated template.

use std::collections::HashMap;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use chassis::{Service, migrate};
use common::values::Secret;
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};

use crate::Servers;

/// A database with one service's schema, as that service's own role sees it.
#[derive(Debug)]
pub struct Database {
    pub url: Secret,
    admin_url: String,
    name: String,
    schema: &'static str,
}

/// Templates by server port and service.
static TEMPLATES: OnceLock<Mutex<HashMap<(u16, &'static str), String>>> = OnceLock::new();
static COUNT: AtomicU32 = AtomicU32::new(0);

impl Database {
    /// Clones a database that `S`'s migrations have run in.
    pub fn new<S: Service>(servers: &Servers) -> Self {
        let admin_url = servers.postgres.url();
        let schema = S::NAME.as_str();
        let template = {
            let mut templates = TEMPLATES
                .get_or_init(Mutex::default)
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            templates
                .entry((servers.postgres.port(), schema))
                .or_insert_with(|| template::<S>(servers))
                .clone()
        };
        let name = format!("{schema}_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let mut admin = PgConnection::establish(&admin_url).expect("the shared Postgres answers");
        admin
            .batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {template}"))
            .expect("a template can be cloned");
        let url = role_url::<S>(servers, &name);
        Self {
            url,
            admin_url,
            name,
            schema,
        }
    }

    /// What `pg_dump` makes of it: a backup that can be restored in place or elsewhere.
    pub fn dump(&self) -> Vec<u8> {
        let dumped = Command::new("pg_dump")
            .args(["--dbname", &self.admin_database()])
            .output()
            .expect("pg_dump is installed");
        assert!(dumped.status.success(), "{dumped:?}");
        dumped.stdout
    }

    /// Restores a backup of it in place.
    pub fn restore(&self, dump: &[u8]) {
        let mut child = Command::new("psql")
            .args(["-XqAt", "-v", "ON_ERROR_STOP=1", &self.admin_database()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("psql is installed");
        let mut input = child.stdin.take().expect("it was asked for");
        let old = format!("DROP SCHEMA {} CASCADE;\n", self.schema);
        input.write_all(old.as_bytes()).expect("psql reads");
        input.write_all(dump).expect("psql reads the dump");
        drop(input);
        assert!(child.wait().expect("psql ends").success());
    }

    /// A new database on `servers`, which may be others, with what a backup of an `S` holds.
    pub fn of_dump<S: Service>(servers: &Servers, dump: &[u8]) -> Self {
        let database = Self::new::<S>(servers);
        database.restore(dump);
        database
    }

    /// The same database on another server: a replica of its own.
    pub fn url_on(&self, server: &laptop::Postgres) -> Secret {
        let (role, _) = self.url.expose().split_once('@').expect("a role");
        let place = format!("127.0.0.1:{}/{}", server.port(), self.name);
        Secret::new(format!("{role}@{place}"))
    }

    fn admin_database(&self) -> String {
        let (server, _) = self
            .admin_url
            .rsplit_once('/')
            .expect("a URL of a database");
        format!("{server}/{}", self.name)
    }

    /// A connection as the service's role, in its schema.
    pub fn connect(&self) -> PgConnection {
        let mut conn = PgConnection::establish(self.url.expose()).expect("the database answers");
        conn.batch_execute(&format!("SET search_path TO {}", self.schema))
            .expect("a constant");
        conn
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // The server may already be stopped; its folder is removed with it.
        if let Ok(mut admin) = PgConnection::establish(&self.admin_url) {
            admin
                .batch_execute(&format!("DROP DATABASE {} WITH (FORCE)", self.name))
                .ok();
        }
    }
}

fn template<S: Service>(servers: &Servers) -> String {
    let name = format!("template_{}", S::NAME);
    let mut admin = PgConnection::establish(&servers.postgres.url()).expect("Postgres answers");
    admin
        .batch_execute(&format!("CREATE DATABASE {name}"))
        .expect("a new database");
    let admin_url = Secret::new(servers.postgres.database_url(&name));
    migrate::prepare(&admin_url, S::NAME, &Secret::new("test")).expect("role and schema");
    migrate::run(&role_url::<S>(servers, &name), S::NAME, S::migrations()).expect("migrations");
    name
}

fn role_url<S: Service>(servers: &Servers, database: &str) -> Secret {
    let role = migrate::role(S::NAME);
    Secret::new(format!(
        "postgres://{role}:test@127.0.0.1:{}/{database}",
        servers.postgres.port()
    ))
}
