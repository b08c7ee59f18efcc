use std::collections::BTreeSet;

use chassis::outbox;
use chrono::{DateTime, Duration, Utc};
use common::WorkspaceId;
use common::auth::Service;
use common::events::{Positioned, WorkspaceCreated};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;

use crate::probe::{database, tell};

/// The names in a page of events.
fn names(page: &[Positioned]) -> Vec<String> {
    page.iter()
        .map(|item| match item.event.read::<WorkspaceCreated>() {
            Some(Ok(event)) => event.name,
            other => panic!("{other:?}"),
        })
        .collect()
}

fn read(conn: &mut PgConnection, after: i64) -> Vec<Positioned> {
    outbox::read(conn, Service::Commerce, after, 500, &[])
        .expect("the outbox can be read")
        .items
}

#[test]
fn an_event_that_commits_late_comes_later_and_is_not_skipped() {
    let database = database();
    let (mut slow, mut quick) = (database.connect(), database.connect());
    slow.batch_execute("BEGIN").unwrap();
    tell(&mut slow, WorkspaceId::new(), "slow").unwrap();
    tell(&mut quick, WorkspaceId::new(), "quick").unwrap();

    let first = read(&mut quick, 0);
    assert_eq!(
        names(&first),
        ["quick"],
        "nothing waits for the open transaction"
    );

    slow.batch_execute("COMMIT").unwrap();
    let second = read(&mut quick, first[0].position);
    assert_eq!(names(&second), ["slow"]);
    assert_eq!(
        names(&read(&mut quick, 0)),
        ["quick", "slow"],
        "the order is kept"
    );
}

#[test]
fn what_is_rolled_back_is_never_told() {
    let database = database();
    let mut conn = database.connect();
    let undone: QueryResult<()> = conn.transaction(|conn| {
        tell(conn, WorkspaceId::new(), "undone")?;
        Err(diesel::result::Error::RollbackTransaction)
    });
    assert!(undone.is_err());
    assert!(read(&mut conn, 0).is_empty());
}

#[test]
fn every_reader_sees_every_event_once_and_in_the_same_order() {
    const WRITERS: usize = 6;
    const EACH: usize = 40;
    let database = database();
    let connect = || database.connect();
    let seen: Vec<Vec<String>> = std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let mut conn = connect();
            scope.spawn(move || {
                for number in 0..EACH {
                    conn.transaction(|conn| {
                        tell(conn, WorkspaceId::new(), &format!("{writer}-{number}"))
                    })
                    .unwrap();
                }
            });
        }
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let mut conn = connect();
                scope.spawn(move || follow(&mut conn, WRITERS * EACH))
            })
            .collect();
        let joined = readers.into_iter().map(|reader| reader.join().unwrap());
        joined.collect()
    });
    let distinct: BTreeSet<_> = seen[0].iter().collect();
    assert_eq!(distinct.len(), WRITERS * EACH);
    assert!(seen.iter().all(|order| *order == seen[0]));
}

/// Reads on until `count` events have been seen.
fn follow(conn: &mut PgConnection, count: usize) -> Vec<String> {
    let (mut seen, mut position) = (Vec::new(), 0);
    while seen.len() < count {
        let page = read(conn, position);
        assert!(page.is_sorted_by(|a, b| a.position < b.position));
        position = page.last().map_or(position, |last| last.position);
        seen.extend(names(&page));
    }
    seen
}

#[test]
fn a_row_is_pruned_when_it_is_old_and_every_consumer_is_past_it() {
    let database = database();
    let mut conn = database.connect();
    for name in ["a", "b", "c", "d"] {
        tell(&mut conn, WorkspaceId::new(), name).unwrap();
    }
    let positions: Vec<_> = read(&mut conn, 0)
        .iter()
        .map(|item| item.position)
        .collect();
    let now = Utc::now();
    let tomorrow = now + Duration::days(1);
    let last_month = now - Duration::days(30);
    let prune = |conn: &mut PgConnection, before: DateTime<Utc>| {
        outbox::prune(conn, before, last_month).unwrap()
    };

    assert_eq!(prune(&mut conn, tomorrow), 0, "nobody has registered yet");
    outbox::acknowledge(&mut conn, "leads", positions[2], now).unwrap();
    outbox::acknowledge(&mut conn, "analytics", positions[1], now).unwrap();
    // Late news of an older position does not turn anything back.
    outbox::acknowledge(&mut conn, "analytics", positions[0], now).unwrap();

    assert_eq!(
        prune(&mut conn, now - Duration::days(1)),
        0,
        "all are too young"
    );
    assert_eq!(prune(&mut conn, tomorrow), 2);
    assert_eq!(names(&read(&mut conn, 0)), ["c", "d"]);

    let after_all = outbox::prune(&mut conn, last_month, tomorrow).unwrap();
    assert_eq!(after_all, 2, "too old to wait for anybody");
}
