use std::{
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;

use crate::{
    Error,
    child::Child,
    folder::{self, Log},
    user::RunAs,
};

/// How long an ordinary stop may take before the child is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(30);
/// How often a free port is chosen anew, or our own port tried again, when somebody has it.
const PORT_TRIES: u32 = 20;

/// What differs between the two servers.
pub(crate) trait Program {
    const NAME: &'static str;
    /// Ends it in order, with its data written.
    const STOP: Signal;
    /// Ends it as a crash would.
    const IMMEDIATE: Signal;

    fn command(&self, port: u16) -> Command;
    /// Whether the process `pid`, and no other, answers on `port`.
    fn ready(&self, pid: i32, port: u16) -> bool;
    fn folder(&self) -> &Path;
    fn user(&self) -> &RunAs;
    fn patience(&self) -> Duration;
}

#[derive(Debug)]
pub(crate) struct Server<P: Program> {
    program: P,
    port: u16,
    child: Child,
    stopping: Arc<AtomicBool>,
}

enum Start {
    Ready(Child),
    PortTaken,
}

impl<P: Program> Server<P> {
    /// Starts on `port`, or on a free one.
    pub(crate) fn start(program: P, port: Option<u16>) -> Result<Self, Error> {
        let tries = if port.is_some() { 1 } else { PORT_TRIES };
        let (child, port) = launch(&program, tries, || match port {
            Some(port) => Ok(port),
            None => folder::free_port(),
        })?;
        let stopping = Arc::new(AtomicBool::new(false));
        Ok(Self {
            program,
            port,
            child,
            stopping,
        })
    }

    /// Starts a stopped or dead server again on the same port and data.
    pub(crate) fn start_again(&mut self) -> Result<(), Error> {
        if self.child.ended().is_none() {
            return Err(Error::AlreadyRunning {
                program: P::NAME,
                pid: self.child.pid(),
            });
        }
        let port = self.port;
        let (child, _) = launch(&self.program, PORT_TRIES, || Ok(port))?;
        self.child = child;
        self.stopping = Arc::new(AtomicBool::new(false));
        Ok(())
    }

    pub(crate) fn stop(&self) {
        self.end(P::STOP);
    }

    pub(crate) fn stop_immediate(&self) {
        self.end(P::IMMEDIATE);
    }

    fn end(&self, signal: Signal) {
        self.stopping.store(true, Ordering::Release);
        if self.child.ended().is_none() {
            self.child.end(signal, STOP_PATIENCE);
        }
    }

    pub(crate) fn program(&self) -> &P {
        &self.program
    }

    pub(crate) fn pid(&self) -> i32 {
        self.child.pid()
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Resolves with how the present child ended if it ends without being asked to.
    pub(crate) fn exited(&self) -> impl Future<Output = String> + Send + use<P> {
        let mut watch = self.child.watch();
        let stopping = Arc::clone(&self.stopping);
        async move {
            let how = match watch.wait_for(Option::is_some).await {
                Ok(how) => how.clone().unwrap_or_default(),
                Err(_) => "its keeper is gone".to_owned(),
            };
            if stopping.load(Ordering::Acquire) {
                std::future::pending::<()>().await;
            }
            how
        }
    }
}

impl<P: Program> Drop for Server<P> {
    fn drop(&mut self) {
        self.stop();
    }
}

fn launch<P: Program>(
    program: &P,
    tries: u32,
    mut choose: impl FnMut() -> std::io::Result<u16>,
) -> Result<(Child, u16), Error> {
    let spawn_error = |source| Error::spawn(P::NAME, source);
    let mut port = choose().map_err(spawn_error)?;
    for _ in 0..tries {
        match attempt(program, port)? {
            Start::Ready(child) => return Ok((child, port)),
            Start::PortTaken => port = choose().map_err(spawn_error)?,
        }
    }
    Err(Error::PortTaken {
        program: P::NAME,
        port,
    })
}

fn attempt<P: Program>(program: &P, port: u16) -> Result<Start, Error> {
    let path = program.folder().join(format!("{}.log", P::NAME));
    let (log, file) = Log::open(path, program.user())?;
    let spawn_error = |source| Error::spawn(P::NAME, source);
    let mut command = program.command(port);
    command
        .stderr(file.try_clone().map_err(spawn_error)?)
        .stdout(Stdio::from(file));
    let child = Child::spawn(P::NAME, command).map_err(spawn_error)?;
    settle(program, child, port, log)
}

/// Waits until the child is ready, has ended, or has had its time.
fn settle<P: Program>(program: &P, child: Child, port: u16, log: Log) -> Result<Start, Error> {
    let deadline = Instant::now() + program.patience();
    while Instant::now() < deadline {
        if program.ready(child.pid(), port) {
            return Ok(Start::Ready(child));
        }
        if child.ended().is_some() {
            let said = log.text();
            if said.contains("Address already in use") {
                return Ok(Start::PortTaken);
            }
            let last_line = folder::last_line(&said);
            return Err(Error::Failed {
                program: P::NAME,
                last_line,
                log: log.path,
            });
        }
        thread::sleep(Duration::from_millis(5));
    }
    child.end(P::IMMEDIATE, Duration::from_secs(5));
    let seconds = program.patience().as_secs();
    Err(Error::NotReady {
        program: P::NAME,
        seconds,
        log: log.path,
    })
}
