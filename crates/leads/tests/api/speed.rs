//! How fast it is, against plain `COPY` of the same rows into a table with the same indexes.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use leads::Leads;
use testkit::Setup;

use crate::support::{App, counts, given_list, import};

const ROWS: usize = 100_000;
const RUNS: usize = 3;

diesel::table! {
    // Every column of `leads`: a copy names those that it fills.
    plain (workspace_id, id) {
        workspace_id -> Uuid,
        id -> Uuid,
        email -> Text,
        email_key -> Text,
        first_name -> Nullable<Text>,
        last_name -> Nullable<Text>,
        phone -> Nullable<Text>,
        company -> Nullable<Text>,
        status -> Text,
        score -> Int4,
        source -> Nullable<Text>,
        timezone -> Nullable<Text>,
        locale -> Nullable<Text>,
        tags -> Array<Text>,
        attributes -> Jsonb,
        opens -> Int8,
        clicks -> Int8,
        last_open_at -> Nullable<Timestamptz>,
        last_click_at -> Nullable<Timestamptz>,
        orders -> Int8,
        revenue -> Int8,
        import_id -> Nullable<Uuid>,
        version -> Int8,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Query(#[from] diesel::result::Error),
    #[error(transparent)]
    Write(#[from] std::io::Error),
}

fn run(conn: &mut PgConnection, sql: &str) {
    conn.batch_execute(sql).expect("good SQL");
}

/// The imported rows, as `COPY` writes them.
fn rows_as_text(conn: &mut PgConnection) -> Vec<u8> {
    run(
        conn,
        "CREATE TABLE plain (LIKE leads INCLUDING ALL); INSERT INTO plain SELECT * FROM leads",
    );
    let mut data = Vec::new();
    let mut rows = diesel::copy_to(plain::table)
        .load_raw(conn)
        .expect("readable");
    rows.read_to_end(&mut data).expect("readable");
    data
}

/// Loads the rows as `COPY` does, and answers how long it took.
fn copy(conn: &mut PgConnection, data: &[u8]) -> Duration {
    run(conn, "TRUNCATE plain");
    let started = Instant::now();
    let done = diesel::copy_from(plain::table)
        .from_raw_data(plain::table, |out: &mut dyn Write| {
            Ok::<_, Failed>(out.write_all(data)?)
        })
        .execute(conn);
    assert_eq!(done.expect("it is loaded"), ROWS);
    started.elapsed()
}

/// Imports the file into nothing; answers how long it took, without and with waiting for it.
async fn timed(app: &App, query: &str, csv: &str) -> (Duration, Duration) {
    run(&mut app.connect(), "TRUNCATE leads, list_members, consents");
    let started = Instant::now();
    let done = import(app, query, csv).await;
    assert_eq!(counts(&done)[1], ROWS as i64);
    let took = Duration::from_millis(done["took_ms"].as_u64().expect("a time"));
    (took, started.elapsed())
}

#[actix_web::test]
#[ignore = "measures; run it in release and alone"]
async fn an_import_keeps_up_with_copy() {
    let app: App = Setup::default().system_clock().start::<Leads>().await;
    let row = |n| {
        format!(
            "person{n}@example.com,First{n},Last{n},Company {},plan{},city{}\n",
            n % 999,
            n % 5,
            n % 77
        )
    };
    let csv = "email,first_name,last_name,company,plan,city\n".to_owned()
        + &(0..ROWS).map(row).collect::<String>();
    let list = given_list(&app, "News").await;
    let conn = &mut app.connect();

    timed(&app, "", &csv).await;
    let data = rows_as_text(conn);
    let (mut ours, mut whole, mut listed, mut theirs) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        theirs.push(copy(conn, &data));
        let (took, waited) = timed(&app, "", &csv).await;
        ours.push(took);
        whole.push(waited);
        listed.push(timed(&app, &format!("?list_id={list}"), &csv).await.0);
    }
    let best = |times: &[Duration]| {
        times
            .iter()
            .min()
            .copied()
            .expect("some runs")
            .as_secs_f64()
    };
    let rate = |times: &[Duration]| ROWS as f64 / best(times);
    println!("plain COPY {:.0} rows/s", rate(&theirs));
    println!(
        "import {:.0} rows/s, {:.2} of it",
        rate(&ours),
        best(&theirs) / best(&ours)
    );
    println!(
        "with upload and waiting {:.2} of it",
        best(&theirs) / best(&whole)
    );
    println!(
        "into a list, with consents {:.2} of it",
        best(&theirs) / best(&listed)
    );
}
