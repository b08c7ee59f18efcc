//! A `clarion up` of one's own, as a process that can be killed.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use testkit::Client;

/// A running platform. It is killed when the test ends.
pub(crate) struct Platform {
    child: Child,
    pub(crate) url: String,
}

/// How a platform is started.
pub(crate) struct Launch {
    command: Command,
}

pub(crate) const OWNER: (&str, &str) = ("owner@example.com", "a long enough password");

impl Launch {
    /// On a free port, with everything in `folder`.
    pub(crate) fn in_folder(folder: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_clarion"));
        command
            .arg("up")
            .current_dir(folder)
            .env("CLARION_DATA_DIR", folder.join("data"))
            .env("CLARION_HTTP_ADDR", "127.0.0.1:0")
            .env("CLARION_OWNER_EMAIL", OWNER.0)
            .env("CLARION_OWNER_PASSWORD", OWNER.1)
            .env("CLARION_LOG", "warn")
            .env_remove("DATABASE_URL")
            .env_remove("REDIS_URL")
            .env_remove("SMTP_URL");
        Self { command }
    }

    pub(crate) fn with(mut self, key: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(key, value);
        self
    }

    /// Starts it and waits for its `ready` line.
    pub(crate) fn start(mut self) -> Platform {
        let mut child = self
            .command
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let stdout = child.stdout.take().expect("it was piped");
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // Nobody listens any more once the platform is ready.
                sender.send(line).ok();
            }
        });
        let line = receiver
            .recv_timeout(Duration::from_secs(60))
            .expect("a line within a minute");
        let url = line
            .strip_prefix("ready ")
            .expect("the line says ready")
            .to_owned();
        Platform { child, url }
    }

    /// Runs it until it ends by itself, for starts that cannot succeed: exit code and stderr.
    pub(crate) fn fail(mut self) -> (Option<i32>, String) {
        let output = self.command.output().expect("the binary starts");
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    }
}

impl Platform {
    /// SIGKILL: nothing is tidied up.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }

    /// SIGTERM: stops in order; answers the exit code.
    pub(crate) fn stop(mut self) -> Option<i32> {
        let pid = nix::unistd::Pid::from_raw(self.child.id().cast_signed());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("it runs");
        self.child.wait().expect("it ends").code()
    }

    /// A client signed in as the first owner.
    pub(crate) async fn owner(&self) -> Client {
        let anonymous = Client::new(&self.url, None);
        let login = serde_json::json!({ "email": OWNER.0, "password": OWNER.1 });
        let answer = anonymous
            .post("/api/v1/login")
            .json(&login)
            .send()
            .await
            .assert_status(200);
        let tokens: serde_json::Value = answer.json();
        let token = tokens["access_token"]
            .as_str()
            .expect("an access token")
            .to_owned();
        Client::new(&self.url, Some(token))
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        // Already gone is as good.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
