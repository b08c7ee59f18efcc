//! Postgres, Redis or the mail server away for a while: the campaign waits, and goes on.

use std::path::Path;
use std::time::Duration;

use laptop::{Postgres, PostgresOptions, Redis, RedisOptions};
use mailbox::{Handle, Mailbox};
use testkit::Client;
use tokio_util::sync::CancellationToken;

use crate::campaign::{assert_nobody_lost_or_doubled, list_of, settled, settlement, start};
use crate::platform::Launch;

const AUDIENCE: usize = 2_000;

/// A mail server in the test's own process, so that it outlives what is stopped.
struct Receiver {
    handle: Handle,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
    port: u16,
}

impl Receiver {
    async fn start(folder: &Path, port: u16) -> Self {
        let settings = mailbox::Settings {
            smtp_addr: ([127, 0, 0, 1], port).into(),
            http_addr: None,
            data_dir: Some(folder.join("mails")),
            ..mailbox::Settings::default()
        };
        let mailbox = Mailbox::bind(settings).await.expect("the mailbox binds");
        let (handle, port) = (mailbox.handle(), mailbox.smtp_addr().port());
        let stop = CancellationToken::new();
        let token = stop.clone();
        let task = tokio::spawn(async move { mailbox.run(token).await.expect("the mailbox runs") });
        Self {
            handle,
            stop,
            task,
            port,
        }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.expect("the mailbox stops");
    }

    fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}?tls=none", self.port)
    }

    fn recipients(&self) -> Vec<String> {
        let mut filter = mailbox::Filter {
            limit: Some(500),
            ..mailbox::Filter::default()
        };
        let mut found = Vec::new();
        loop {
            let page = self.handle.list(&filter);
            found.extend(page.items.into_iter().flat_map(|mail| mail.rcpt_to));
            match page.next_cursor {
                Some(next) => filter.cursor = Some(next),
                None => return found,
            }
        }
    }
}

/// Waits until at least `count` mails are accepted.
async fn accepted(client: &Client, campaign: &str, count: i64) {
    loop {
        let seen = settlement(client, campaign).await.unwrap_or_default();
        if seen["accepted"]
            .as_i64()
            .is_some_and(|accepted| accepted >= count)
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_stopped_immediately_during_a_send() {
    let folder = tempfile::tempdir().expect("a folder");
    let receiver = Receiver::start(folder.path(), 0).await;
    let options = PostgresOptions::new(folder.path().join("pg"));
    let mut postgres = Postgres::start(options).expect("Postgres starts");
    let platform = Launch::in_folder(folder.path())
        .with("DATABASE_URL", postgres.url())
        .with("SMTP_URL", receiver.url())
        .start();
    let client = platform.owner().await;
    let list = list_of(&client, AUDIENCE).await;
    let campaign = start(&client, &list).await;
    accepted(&client, &campaign, 200).await;
    postgres.stop_immediate();
    tokio::time::sleep(Duration::from_secs(1)).await;
    postgres.start_again().expect("Postgres recovers");
    settled(&client, &campaign).await;
    assert_nobody_lost_or_doubled(&client, &campaign, AUDIENCE, receiver.recipients()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_stopped_during_a_send() {
    let folder = tempfile::tempdir().expect("a folder");
    let receiver = Receiver::start(folder.path(), 0).await;
    let mut redis =
        Redis::start(RedisOptions::new(folder.path().join("redis"))).expect("Redis starts");
    let platform = Launch::in_folder(folder.path())
        .with("REDIS_URL", redis.url())
        .with("SMTP_URL", receiver.url())
        .start();
    let client = platform.owner().await;
    let list = list_of(&client, AUDIENCE).await;
    let campaign = start(&client, &list).await;
    accepted(&client, &campaign, 200).await;
    redis.stop_immediate();
    let seen = settled(&client, &campaign).await;
    assert_eq!(seen["accepted"], AUDIENCE, "{seen}");
    assert_nobody_lost_or_doubled(&client, &campaign, AUDIENCE, receiver.recipients()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mail_server_away_for_a_while() {
    let folder = tempfile::tempdir().expect("a folder");
    let receiver = Receiver::start(folder.path(), 0).await;
    let port = receiver.port;
    let platform = Launch::in_folder(folder.path())
        .with("SMTP_URL", receiver.url())
        .start();
    let client = platform.owner().await;
    let list = list_of(&client, AUDIENCE).await;
    let campaign = start(&client, &list).await;
    accepted(&client, &campaign, 200).await;
    receiver.stop().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let seen = settlement(&client, &campaign)
        .await
        .expect("the platform answers");
    assert_eq!(seen["settled"], false, "{seen}");
    let receiver = Receiver::start(folder.path(), port).await;
    settled(&client, &campaign).await;
    assert_nobody_lost_or_doubled(&client, &campaign, AUDIENCE, receiver.recipients()).await;
}
