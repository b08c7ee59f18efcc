use std::{
    fs::{self, OpenOptions},
    io::Write,
    net::SocketAddr,
    path::Path,
    process::Stdio,
};

use mailbox::{Error, Filter, Handle, Mailbox, Settings};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::support::{Client, Running, message};

fn kept_in(folder: &Path) -> Settings {
    Settings {
        data_dir: Some(folder.to_owned()),
        ..Settings::default()
    }
}

fn subjects(handle: &Handle) -> Vec<String> {
    let filter = Filter {
        limit: Some(500),
        ..Filter::default()
    };
    handle
        .list(&filter)
        .items
        .into_iter()
        .rev()
        .filter_map(|mail| mail.subject)
        .collect()
}

fn only_segment(folder: &Path) -> std::path::PathBuf {
    let mut segments = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "seg"));
    let segment = segments.next().unwrap();
    assert_eq!(segments.next(), None);
    segment
}

#[tokio::test]
async fn mails_are_there_after_a_restart() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("deep/mailbox");
    let mailbox = Running::with(kept_in(&folder)).await;
    let mut client = mailbox.client().await;
    for subject in ["one", "two", "three"] {
        assert_eq!(client.deliver("b@x.y", &message(subject)).await, 250);
    }
    let before = mailbox.handle.list(&Filter::default());
    let stats = mailbox.handle.stats();
    mailbox.stopped().await;

    let mailbox = Running::with(kept_in(&folder)).await;
    let after = mailbox.handle.list(&Filter::default());
    assert_eq!(after.items, before.items);
    assert_eq!(mailbox.handle.stats(), stats);
    let raw = mailbox.handle.raw(after.items[0].id).unwrap().unwrap();
    assert_eq!(String::from_utf8(raw).unwrap(), message("three") + "\r\n");
    assert_eq!(
        mailbox
            .client()
            .await
            .deliver("b@x.y", &message("four"))
            .await,
        250
    );
    assert_eq!(subjects(&mailbox.handle), ["one", "two", "three", "four"]);
}

#[tokio::test]
async fn a_torn_tail_is_cut_off_and_nothing_else() {
    let home = tempfile::tempdir().unwrap();
    let mailbox = Running::with(kept_in(home.path())).await;
    let mut client = mailbox.client().await;
    for subject in ["one", "two"] {
        assert_eq!(client.deliver("b@x.y", &message(subject)).await, 250);
    }
    mailbox.stopped().await;
    let segment = only_segment(home.path());
    let whole = fs::read(&segment).unwrap();
    // A record's own head says how long it is: the times in two summaries may differ in length.
    let body = u32::from_le_bytes(*whole[4..].first_chunk().unwrap());
    let record = 12 + usize::try_from(body).unwrap();
    let mut wrong = whole[..record].to_vec();
    wrong[record - 3] ^= 1;
    let nonsense = vec![0; 4096];
    let tails: [&[u8]; 5] = [
        &whole[..5],
        &whole[..11],
        &whole[..record - 1],
        &wrong,
        &nonsense,
    ];
    for tail in tails {
        fs::write(&segment, &whole).unwrap();
        OpenOptions::new()
            .append(true)
            .open(&segment)
            .unwrap()
            .write_all(tail)
            .unwrap();
        let mailbox = Running::with(kept_in(home.path())).await;
        assert_eq!(subjects(&mailbox.handle), ["one", "two"]);
        assert_eq!(fs::read(&segment).unwrap(), whole, "the tail is gone");
        assert_eq!(
            mailbox
                .client()
                .await
                .deliver("b@x.y", &message("next"))
                .await,
            250
        );
        mailbox.stopped().await;
        let mailbox = Running::with(kept_in(home.path())).await;
        assert_eq!(subjects(&mailbox.handle), ["one", "two", "next"]);
        mailbox.stopped().await;
    }
}

#[tokio::test]
async fn emptying_lasts() {
    let home = tempfile::tempdir().unwrap();
    let mailbox = Running::with(kept_in(home.path())).await;
    let mut client = mailbox.client().await;
    assert_eq!(client.deliver("b@x.y", &message("old")).await, 250);
    let url = format!("{}/messages", mailbox.http);
    let emptied = reqwest::Client::new().delete(url).send().await.unwrap();
    assert_eq!(emptied.status(), 204);
    assert_eq!(mailbox.handle.stats().messages, 0);
    assert_eq!(client.deliver("b@x.y", &message("new")).await, 250);
    mailbox.stopped().await;

    let mailbox = Running::with(kept_in(home.path())).await;
    assert_eq!(subjects(&mailbox.handle), ["new"]);
}

#[tokio::test]
async fn a_folder_in_use_or_unusable_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("mailbox");
    let first = Running::with(kept_in(&folder)).await;
    let second = Mailbox::bind(kept_in(&folder)).await.unwrap_err();
    assert!(matches!(second, Error::InUse(_)), "{second}");
    first.stopped().await;
    let again = Mailbox::bind(kept_in(&folder)).await;
    assert!(again.is_ok());

    let file = home.path().join("file");
    fs::write(&file, "").unwrap();
    let refused = Mailbox::bind(kept_in(&file)).await.unwrap_err();
    assert!(matches!(refused, Error::Folder { .. }), "{refused}");
}

#[tokio::test]
async fn a_taken_port_is_refused_by_name() {
    let taken = Running::start().await;
    let http: SocketAddr = taken.http["http://".len()..]
        .trim_end_matches("/mailbox")
        .parse()
        .unwrap();
    for settings in [
        Settings {
            smtp_addr: taken.smtp,
            ..Settings::default()
        },
        Settings {
            http_addr: Some(http),
            ..Settings::default()
        },
    ] {
        let refusal = Mailbox::bind(settings).await.unwrap_err();
        assert!(
            refusal
                .to_string()
                .starts_with("cannot listen on 127.0.0.1:"),
            "{refusal}"
        );
    }
}

/// The binary, its SMTP address and its HTTP address.
async fn spawned(folder: &Path) -> (Child, SocketAddr, SocketAddr) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_mailbox"))
        .env("MAILBOX_SMTP_ADDR", "127.0.0.1:0")
        .env("MAILBOX_HTTP_ADDR", "127.0.0.1:0")
        .env("MAILBOX_DATA_DIR", folder)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .await
        .unwrap();
    let words: Vec<_> = line.split_whitespace().collect();
    let smtp = words[1].strip_prefix("smtp://").unwrap().parse().unwrap();
    let http = words[2]
        .strip_prefix("http://")
        .unwrap()
        .trim_end_matches("/mailbox");
    (child, smtp, http.parse().unwrap())
}

#[tokio::test]
async fn every_answered_mail_survives_kill_nine() {
    let home = tempfile::tempdir().unwrap();
    let mut answered = Vec::new();
    for round in 0..3 {
        let (mut child, smtp, _) = spawned(home.path()).await;
        let senders: Vec<_> = (0..4)
            .map(|sender| tokio::spawn(sending(smtp, round, sender)))
            .collect();
        while senders.iter().any(|sender| !sender.is_finished()) {
            // Killed while all of them are in the middle of something.
            if fs::read_dir(home.path()).unwrap().flatten().any(|entry| {
                entry
                    .metadata()
                    .is_ok_and(|meta| meta.len() > (round + 1) * 20_000)
            }) {
                child.start_kill().unwrap();
            }
            tokio::task::yield_now().await;
        }
        child.wait().await.unwrap();
        for sender in senders {
            answered.extend(sender.await.unwrap());
        }
    }
    assert!(answered.len() > 30, "{}", answered.len());

    let mailbox = Running::with(kept_in(home.path())).await;
    for address in &answered {
        let filter = Filter {
            rcpt: Some(address.clone()),
            ..Filter::default()
        };
        assert_eq!(mailbox.handle.list(&filter).total, 1, "{address}");
    }
}

/// Sends until the mailbox dies; gives the addresses of the mails that were answered with 250.
async fn sending(smtp: SocketAddr, round: u64, sender: u32) -> Vec<String> {
    let mut client = Client::connect(smtp).await;
    let mut answered = Vec::new();
    if client.reply().await.is_empty() {
        return answered;
    }
    for number in 0.. {
        let to = format!("r{round}s{sender}n{number}@x.y");
        let all = format!("EHLO a\r\nMAIL FROM:<a@x.y>\r\nRCPT TO:<{to}>\r\nDATA\r\n");
        if !client.try_send(all.as_bytes()).await {
            break;
        }
        let mut codes = Vec::new();
        for _ in 0..4 {
            codes.push(client.reply().await);
        }
        if !client.try_send(b"Subject: x\r\n\r\nbody\r\n.\r\n").await {
            break;
        }
        if !client.reply().await.starts_with("250 ") {
            break;
        }
        answered.push(to);
    }
    answered
}

#[tokio::test]
async fn the_binary_says_whether_it_is_well_and_stops_when_told() {
    let home = tempfile::tempdir().unwrap();
    let (mut child, _, http) = spawned(home.path()).await;
    let health = |http: SocketAddr| async move {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailbox"));
        let command = command
            .arg("health")
            .env("MAILBOX_HTTP_ADDR", http.to_string());
        command.stderr(Stdio::null()).status().await.unwrap().code()
    };
    assert_eq!(health(http).await, Some(0));

    let pid = child.id().unwrap().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .await
            .unwrap()
            .success()
    );
    assert!(child.wait().await.unwrap().success());
    assert_eq!(health(http).await, Some(1));

    let refused = Command::new(env!("CARGO_BIN_EXE_mailbox"))
        .env("MAILBOX_DATA_DIR", "/proc/no/such/place")
        .env("MAILBOX_SMTP_ADDR", "127.0.0.1:0")
        .output()
        .await
        .unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(
        said.starts_with("mailbox: mailbox folder /proc/no/such/place"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1);
}

#[tokio::test]
async fn a_full_disk_is_said_and_the_next_mail_finds_room() {
    let home = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/full", home.path().join("mails-00000001.seg")).unwrap();
    let mailbox = Running::with(kept_in(home.path())).await;
    let mut client = mailbox.client().await;
    assert_eq!(client.deliver("b@x.y", &message("lost")).await, 452);
    assert_eq!(mailbox.handle.stats().messages, 0);
    assert_eq!(client.deliver("b@x.y", &message("kept")).await, 250);
    mailbox.stopped().await;

    fs::remove_file(home.path().join("mails-00000001.seg")).unwrap();
    let mailbox = Running::with(kept_in(home.path())).await;
    assert_eq!(subjects(&mailbox.handle), ["kept"]);
}

#[tokio::test]
async fn a_folder_that_fails_later_is_an_error_and_not_an_empty_mailbox() {
    let home = tempfile::tempdir().unwrap();
    let mailbox = Running::with(kept_in(home.path())).await;
    let mut client = mailbox.client().await;
    assert_eq!(client.deliver("b@x.y", &message("one")).await, 250);
    let id = mailbox.handle.list(&Filter::default()).items[0].id;
    let http = reqwest::Client::new();

    fs::create_dir(home.path().join("mails-00000000.seg")).unwrap();
    let emptied = http
        .delete(format!("{}/messages", mailbox.http))
        .send()
        .await
        .unwrap();
    assert_eq!(emptied.status(), 500);
    assert_eq!(mailbox.handle.stats().messages, 1);

    fs::remove_file(home.path().join("mails-00000001.seg")).unwrap();
    for path in [
        format!("{id}"),
        format!("{id}/raw"),
        format!("messages/{id}.json"),
    ] {
        let answer = http
            .get(format!("{}/{path}", mailbox.http))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 500, "{path}");
        let problem: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(problem["code"], "internal");
        assert!(!problem.to_string().contains("mails-"), "{problem}");
    }
}

#[tokio::test]
async fn a_mail_cut_off_is_not_stored() {
    let mailbox = Running::start().await;
    let mut client = mailbox.client().await;
    client
        .send(b"MAIL FROM:<a@x.y>\r\nRCPT TO:<b@x.y>\r\nDATA\r\nSubject: half\r\n\r\nhalf\r\n.")
        .await;
    assert_eq!(
        (
            client.code().await,
            client.code().await,
            client.code().await
        ),
        (250, 250, 354)
    );
    drop(client);
    mailbox
        .client()
        .await
        .deliver("b@x.y", &message("whole"))
        .await;
    assert_eq!(subjects(&mailbox.handle), ["whole"]);
}
