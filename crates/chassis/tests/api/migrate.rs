use chassis::{Service, migrate};
use common::auth::Service as Name;
use common::values::Secret;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use testkit::Servers;

use crate::probe::Probe;

/// A new, empty database.
struct Empty {
    name: String,
}

impl Empty {
    fn new(name: &str) -> Self {
        let name = format!("empty_{name}");
        admin("postgres")
            .batch_execute(&format!("CREATE DATABASE {name}"))
            .expect("a new database");
        Self { name }
    }

    fn prepare(&self, service: Name) {
        let url = Secret::new(Servers::shared().postgres.database_url(&self.name));
        migrate::prepare(&url, service, &Secret::new("it's a secret")).expect("role and schema");
    }

    /// As the role of `service`.
    fn url(&self, service: Name) -> Secret {
        let (role, port) = (migrate::role(service), Servers::shared().postgres.port());
        Secret::new(format!(
            "postgres://{role}:x@127.0.0.1:{port}/{}",
            self.name
        ))
    }

    fn connect(&self, service: Name) -> PgConnection {
        PgConnection::establish(self.url(service).expose()).expect("the role may log in")
    }
}

fn admin(database: &str) -> PgConnection {
    PgConnection::establish(&Servers::shared().postgres.database_url(database)).expect("Postgres")
}

fn count(conn: &mut PgConnection, from: &str) -> i64 {
    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = BigInt)]
        count: i64,
    }
    let rows: QueryResult<Count> =
        diesel::sql_query(format!("SELECT count(*) FROM {from}")).get_result(conn);
    rows.expect(from).count
}

#[test]
fn sixteen_at_once_apply_each_migration_once() {
    let empty = Empty::new("sixteen");
    empty.prepare(Name::Commerce);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                migrate::run(
                    &empty.url(Name::Commerce),
                    Name::Commerce,
                    Probe::migrations(),
                )
                .expect("each of them succeeds");
            });
        }
    });
    let mut conn = empty.connect(Name::Commerce);
    // Three of the chassis and the probe's own.
    assert_eq!(count(&mut conn, "commerce.__diesel_schema_migrations"), 4);
    assert_eq!(count(&mut conn, "commerce.notes"), 0);
    // Other tests hold such locks in databases of their own.
    let left = "pg_locks JOIN pg_database AS d ON d.oid = database
                WHERE locktype = 'advisory' AND datname = current_database()";
    assert_eq!(count(&mut conn, left), 0);
}

#[test]
fn preparing_again_changes_nothing() {
    let empty = Empty::new("again");
    empty.prepare(Name::Commerce);
    let run = || {
        migrate::run(
            &empty.url(Name::Commerce),
            Name::Commerce,
            Probe::migrations(),
        )
    };
    run().expect("migrations");
    let mut conn = empty.connect(Name::Commerce);
    conn.batch_execute(
        "INSERT INTO commerce.notes (workspace_id, text) VALUES (gen_random_uuid(), 'kept')",
    )
    .unwrap();
    empty.prepare(Name::Commerce);
    run().expect("nothing is left to do");
    assert_eq!(count(&mut conn, "commerce.notes WHERE text = 'kept'"), 1);
}

#[test]
fn a_services_role_sees_nothing_of_anothers_schema() {
    let empty = Empty::new("isolation");
    for service in [Name::Leads, Name::Analytics] {
        empty.prepare(service);
        migrate::run(&empty.url(service), service, Probe::migrations()).expect("migrations");
    }
    let mut leads = empty.connect(Name::Leads);
    assert_eq!(count(&mut leads, "leads.outbox"), 0);
    for forbidden in [
        "SELECT * FROM analytics.notes",
        "SELECT * FROM analytics.outbox",
        "INSERT INTO analytics.notes (workspace_id, text) VALUES (gen_random_uuid(), 'x')",
        "CREATE TABLE analytics.mine (id int)",
        "ALTER TABLE analytics.notes ADD COLUMN mine int",
        "DROP SCHEMA analytics CASCADE",
        "CREATE TABLE public.mine (id int)",
        "GRANT USAGE ON SCHEMA analytics TO clarion_leads",
    ] {
        let error = leads
            .batch_execute(forbidden)
            .expect_err(forbidden)
            .to_string();
        let refused = error.contains("permission denied") || error.contains("must be owner");
        assert!(refused, "{forbidden}: {error}");
    }
    for forbidden in [
        "SET ROLE clarion_analytics",
        "CREATE ROLE mine",
        "CREATE DATABASE mine",
        "ALTER ROLE clarion_leads SUPERUSER",
    ] {
        leads.batch_execute(forbidden).expect_err(forbidden);
    }
    assert_eq!(
        count(&mut empty.connect(Name::Analytics), "analytics.notes"),
        0
    );
}

#[test]
fn what_is_missing_is_named() {
    let empty = Empty::new("missing");
    empty.prepare(Name::Commerce);
    let nowhere = Secret::new("postgres://nobody@127.0.0.1:1/nothing");
    let error = migrate::run(&nowhere, Name::Commerce, Probe::migrations()).expect_err("no server");
    assert!(
        error
            .to_string()
            .starts_with("cannot connect to the database"),
        "{error}"
    );

    // The role is there, its schema is not.
    admin(&empty.name)
        .batch_execute("DROP SCHEMA commerce")
        .unwrap();
    let error = migrate::run(
        &empty.url(Name::Commerce),
        Name::Commerce,
        Probe::migrations(),
    );
    let error = error.expect_err("no schema").to_string();
    assert!(error.contains("commerce"), "{error}");
}

#[test]
fn a_schema_belongs_to_its_role_alone() {
    let empty = Empty::new("owner");
    empty.prepare(Name::Commerce);
    #[derive(QueryableByName)]
    struct Owner {
        #[diesel(sql_type = Text)]
        owner: String,
    }
    let sql = "SELECT pg_get_userbyid(nspowner)::text AS owner FROM pg_namespace WHERE nspname = 'commerce'";
    let found: Owner = diesel::sql_query(sql)
        .get_result(&mut admin(&empty.name))
        .unwrap();
    assert_eq!(found.owner, "clarion_commerce");
}
