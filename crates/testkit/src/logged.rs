//! A service as a process of its own, whose log is read.

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

use common::auth::Service as Name;
use serde_json::Value;

use crate::{Client, Issuer, eventually};

/// A service's binary with the settings of production. Dropping it kills it.
#[derive(Debug)]
pub struct Logged {
    child: Child,
    log: tempfile::NamedTempFile,
    pub address: SocketAddr,
    /// Without a token.
    pub client: Client,
}

impl Logged {
    /// Starts `binary` and waits until it is ready.
    pub async fn start(binary: &str, name: Name, settings: &[(&str, &str)]) -> Self {
        let logged = Self::begin(binary, name, settings);
        eventually("the process is ready", || async {
            let ready = logged.client.get("/health/ready").try_send().await;
            ready.is_ok_and(|answer| answer.status == 200)
        })
        .await;
        logged
    }

    /// Starts `binary`, which may never be ready.
    pub fn begin(binary: &str, name: Name, settings: &[(&str, &str)]) -> Self {
        let address = {
            let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
            free.local_addr().expect("an address")
        };
        let log = tempfile::NamedTempFile::new().expect("a file");
        let own = format!("{}_HTTP_ADDR", name.as_str().to_uppercase());
        let child = Command::new(binary)
            .env_clear()
            .current_dir("/")
            .env("CLARION_ENV", "prod")
            .env(own, address.to_string())
            .env("DATABASE_POOL", "4")
            .env("HTTP_WORKERS", "1")
            .env("IDENTITY_URL", Issuer::shared().url())
            .env("CLARION_PUBLIC_URL", "https://clarion.test")
            .env("CLARION_SERVICE_SECRET", "service secret of the tests")
            .envs(settings.iter().copied())
            .stdout(Stdio::null())
            .stderr(log.reopen().expect("the same file"))
            .spawn()
            .expect("the binary starts");
        let client = Client::new(format!("http://{address}"), None);
        Self {
            child,
            log,
            address,
            client,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it wrote so far. Each line must be one JSON object.
    pub fn lines(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.log.path()).expect("a text");
        let line = |line: &str| {
            let value: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
            assert!(value.is_object(), "{line}");
            value
        };
        text.lines().map(line).collect()
    }

    /// The lines that say this.
    pub fn saying(&self, message: &str) -> Vec<Value> {
        let mut lines = self.lines();
        lines.retain(|line| line["message"] == message);
        lines
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
