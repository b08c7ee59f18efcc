//! `kill -9` at any moment loses nobody and mails nobody twice.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::campaign::{assert_nobody_lost_or_doubled, list_of, received, settlement, start};
use crate::platform::Launch;

const AUDIENCE: usize = 3_000;
const KILLS: i64 = 10;

#[tokio::test(flavor = "multi_thread")]
async fn ten_kills_during_a_campaign_lose_nobody_and_double_nobody() {
    let seed = rand::rng().random::<u64>();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().expect("a folder");
    let mut platform = Launch::in_folder(folder.path()).start();
    let mut client = platform.owner().await;
    let list = list_of(&client, AUDIENCE).await;
    let campaign = start(&client, &list).await;
    for kill in 1..=KILLS {
        // Somewhere between this tenth of the way and the next.
        let goal =
            (kill - 1) * AUDIENCE as i64 / KILLS + random.random_range(0..AUDIENCE as i64 / KILLS);
        loop {
            let seen = settlement(&client, &campaign).await.expect("it runs");
            if seen["accepted"].as_i64().expect("a count") >= goal || seen["settled"] == true {
                break;
            }
        }
        tokio::time::sleep(Duration::from_micros(random.random_range(0..20_000))).await;
        platform.kill();
        platform = Launch::in_folder(folder.path()).start();
        client = platform.owner().await;
    }
    crate::campaign::settled(&client, &campaign).await;
    let received = received(&platform).await;
    assert_nobody_lost_or_doubled(&client, &campaign, AUDIENCE, received).await;
}
