use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

/// How a mailbox is to run. `default()` is what tests want: free ports on 127.0.0.1, in memory.
#[derive(Debug, Clone)]
pub struct Settings {
    pub smtp_addr: SocketAddr,
    /// `None` serves no pages of its own; mount [`crate::routes`] elsewhere.
    pub http_addr: Option<SocketAddr>,
    /// `None` keeps the messages in memory only.
    pub data_dir: Option<PathBuf>,
    /// The name in the greeting.
    pub hostname: String,
    /// Longest message in octets; announced as `SIZE`.
    pub max_message: usize,
    /// Longest line of a message in octets, without its CRLF.
    pub max_line: usize,
    pub max_recipients: usize,
    pub max_connections: usize,
    /// How long a client may say nothing.
    pub idle: Duration,
    /// How long a reply to a `slow+` address waits.
    pub slow: Duration,
    /// How long a message that is being received may still take when the mailbox is stopping.
    pub grace: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            smtp_addr: free,
            http_addr: Some(free),
            data_dir: None,
            hostname: "mailbox.localhost".to_owned(),
            max_message: 25 << 20,
            max_line: 998,
            max_recipients: 1000,
            max_connections: 1024,
            idle: Duration::from_secs(300),
            slow: Duration::from_secs(2),
            grace: Duration::from_secs(5),
        }
    }
}
