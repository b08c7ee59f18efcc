//! Several statements in one round trip.

use chassis::Db;
use chassis::bell::Ringer;
use chassis::error::{is_away, violated_unique};
use chassis::pq::Connection;
use common::values::Secret;
use diesel::result::Error as QueryError;
use diesel::{QueryResult, RunQueryDsl};
use testkit::{Database, Servers};

use crate::probe::Probe;

const INTO: &str = "COPY things FROM STDIN";

struct World {
    database: Database,
    conn: Connection,
}

#[derive(diesel::QueryableByName)]
struct Count {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    count: i64,
}

impl World {
    fn new() -> Self {
        let database = Database::new::<Probe>(Servers::shared());
        let db = Db::new(&database.url, "commerce", 1, Ringer::default());
        let table = "CREATE TABLE things (number int PRIMARY KEY CHECK (number < 100), name text)";
        let conn = db.connect_pq(table).expect("Postgres answers");
        Self { database, conn }
    }

    fn put(&mut self, statements: &str, rows: &str) -> QueryResult<()> {
        self.conn.copy(statements, rows.as_bytes())
    }

    fn count(&self) -> i64 {
        let count = diesel::sql_query("SELECT count(*) FROM things");
        let count: Count = count
            .get_result(&mut self.database.connect())
            .expect("a row");
        count.count
    }
}

#[test]
fn rows_and_statements_around_them_are_one_transaction() {
    let mut world = World::new();
    let before = "INSERT INTO things VALUES (1, 'one'); SELECT 1";
    let done = world.put(
        &format!("{before}; {INTO}; DELETE FROM things WHERE number = 2"),
        "2\ttwo\n3\t\\N\n",
    );
    assert_eq!(done, Ok(()));
    assert_eq!(world.count(), 2);
    let failed = world.put(
        &format!("DELETE FROM things; {INTO}"),
        "4\tfour\n4\tagain\n",
    );
    assert_eq!(
        violated_unique(&failed.expect_err("4 comes twice")),
        Some("things_pkey")
    );
    assert_eq!(world.count(), 2, "the deletion is undone");
    assert_eq!(
        world.put(INTO, "5\tfive\n"),
        Ok(()),
        "the connection goes on"
    );
    assert_eq!(world.count(), 3);
}

#[test]
fn much_goes_through_at_once() {
    let mut world = World::new();
    let long = "x".repeat(1_000_000);
    let rows: String = (0..20)
        .map(|number| format!("{number}\t{long}\n"))
        .collect();
    assert_eq!(world.put(INTO, &rows), Ok(()));
    assert_eq!(world.count(), 20);
    let failed = world
        .put(INTO, &format!("100\tno\n{rows}"))
        .expect_err("too high");
    assert!(
        failed.to_string().contains("things_number_check"),
        "{failed}"
    );
    assert!(!is_away(&failed));
}

#[test]
fn a_statement_before_the_rows_that_fails_is_what_is_told() {
    let mut world = World::new();
    let failed = world.put(&format!("SELECT nothing; {INTO}"), "1\tone\n");
    let failed = failed.expect_err("there is no such column");
    assert!(
        failed.to_string().contains("\"nothing\" does not exist"),
        "{failed}"
    );
    let after = format!("{INTO}; SELECT 1 / 0; SELECT nothing");
    let failed = world.put(&after, "1\tone\n").expect_err("the second fails");
    assert!(failed.to_string().contains("division by zero"), "{failed}");
    assert_eq!(world.count(), 0);
}

#[test]
fn rows_without_their_statement_and_the_other_way_round_are_refused() {
    let mut world = World::new();
    let refused = world.put("SELECT 1", "1\tone\n");
    assert!(
        matches!(refused, Err(QueryError::QueryBuilderError(_))),
        "{refused:?}"
    );
    let refused = world.conn.run(INTO).expect_err("there are none");
    assert!(refused.to_string().contains("no rows for it"), "{refused}");
    let twice = world.put(&format!("{INTO}; {INTO}"), "1\tone\n");
    assert!(
        twice
            .expect_err("there are rows for one")
            .to_string()
            .contains("no rows for it")
    );
    let nul = world.conn.run("SELECT '\0'");
    assert!(
        matches!(nul, Err(QueryError::QueryBuilderError(_))),
        "{nul:?}"
    );
    assert_eq!(world.count(), 0);
    assert_eq!(
        world.conn.run("DO $$ BEGIN RAISE NOTICE 'unheard'; END $$"),
        Ok(())
    );
}

#[test]
fn a_connection_that_is_lost_says_that_postgres_is_away() {
    let mut world = World::new();
    let end = "SELECT pg_terminate_backend(pg_backend_pid())";
    for statements in [end, "SELECT 1"] {
        let lost = world.conn.run(statements).expect_err("it is lost");
        assert!(is_away(&lost), "{lost}");
    }
    let lost = world.put(INTO, "1\tone\n").expect_err("it is still lost");
    assert!(is_away(&lost), "{lost}");
    let nobody = Secret::new("postgres://clarion@127.0.0.1:9/postgres");
    let db = Db::new(&nobody, "commerce", 1, Ringer::default());
    let cause = db.connect_pq("").expect_err("nobody is there").cause;
    assert!(cause.is_some_and(|cause| cause.to_string().contains("127.0.0.1")));
    let db = Db::new(&world.database.url, "commerce", 1, Ringer::default());
    let cause = db
        .connect_pq("SELECT nothing")
        .expect_err("its set-up fails")
        .cause;
    assert!(cause.is_some_and(|cause| cause.to_string().contains("does not exist")));
}

#[test]
fn another_thread_may_use_it_next() {
    let mut world = World::new();
    let there = std::thread::spawn(move || {
        let done = world.put(INTO, "1\tone\n");
        (done, world.count())
    });
    assert_eq!(there.join().expect("no panic"), (Ok(()), 1));
}
