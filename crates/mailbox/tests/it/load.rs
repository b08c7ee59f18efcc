use std::time::{Duration, Instant};

use mailbox::Settings;

use crate::support::{Client, Running, message};

const CONNECTIONS: usize = 32;
const EACH: usize = 60;

/// A reply that waits for a timer, such as a delayed acknowledgement of 40 ms, would cost this
/// load more than two seconds on each connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_connections_are_served_at_once_and_lose_nothing() {
    let home = tempfile::tempdir().unwrap();
    let settings = Settings {
        data_dir: Some(home.path().to_owned()),
        ..Settings::default()
    };
    let mailbox = Running::with(settings).await;
    let begun = Instant::now();
    let senders: Vec<_> = (0..CONNECTIONS)
        .map(|sender| tokio::spawn(send(mailbox.smtp, sender)))
        .collect();
    for sender in senders {
        sender.await.unwrap();
    }
    let took = begun.elapsed();
    let stats = mailbox.handle.stats();
    assert_eq!(stats.messages as usize, CONNECTIONS * EACH);
    assert_eq!(stats.distinct_recipients as usize, CONNECTIONS * EACH);
    assert_eq!(stats.duplicates, 0);
    println!(
        "{:.0} messages/s",
        (CONNECTIONS * EACH) as f64 / took.as_secs_f64()
    );
    assert!(took < Duration::from_secs(20), "{took:?}");
}

async fn send(smtp: std::net::SocketAddr, sender: usize) {
    let mut client = Client::connect(smtp).await;
    assert_eq!(client.code().await, 220);
    assert_eq!(client.say("EHLO test").await, 250);
    let body = format!(
        "{}{}",
        message(&format!("load{sender}")),
        "A line of text that is fairly usual.\r\n".repeat(130)
    );
    for number in 0..EACH {
        let head = format!("MAIL FROM:<a@x.y>\r\nRCPT TO:<s{sender}n{number}@x.y>\r\nDATA\r\n");
        client.send(head.as_bytes()).await;
        let codes = (
            client.code().await,
            client.code().await,
            client.code().await,
        );
        assert_eq!(codes, (250, 250, 354));
        client
            .send(
                body.replacen("load", &format!("n{number}load"), 2)
                    .as_bytes(),
            )
            .await;
        client.send(b".\r\n").await;
        assert_eq!(client.code().await, 250);
    }
}
