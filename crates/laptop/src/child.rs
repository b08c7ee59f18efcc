use std::{
    io,
    os::unix::process::CommandExt,
    process::Command,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::{
        signal::{Signal, kill},
        wait::{Id, WaitPidFlag, waitid},
    },
    unistd::Pid,
};
use tokio::sync::watch;

/// One child process and the thread that keeps it.
///
/// The kernel's parent-death signal follows the *thread* that spawned the child, so the thread
/// that spawns it also waits for it: it ends only with the child or with the whole process.
#[derive(Debug)]
pub(crate) struct Child {
    pid: Pid,
    /// Guards the moment of reaping: a pid is signalled only while it is surely still ours.
    alive: Arc<Mutex<bool>>,
    exit: watch::Receiver<Option<String>>,
}

impl Child {
    pub(crate) fn spawn(name: &str, mut command: Command) -> io::Result<Self> {
        command.process_group(0).stdin(std::process::Stdio::null());
        let (started, start) = mpsc::channel();
        let (exited, exit) = watch::channel(None);
        let alive = Arc::new(Mutex::new(true));
        let guard = Arc::clone(&alive);
        thread::Builder::new()
            .name(format!("{name}-keeper"))
            .spawn(move || {
                let child = match command.spawn() {
                    Ok(child) => child,
                    Err(error) => return drop(started.send(Err(error))),
                };
                let pid = Pid::from_raw(child.id().cast_signed());
                let _ = started.send(Ok(pid));
                keep(child, pid, &guard, &exited);
            })?;
        let pid = start.recv().map_err(io::Error::other)??;
        Ok(Self { pid, alive, exit })
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// How the child ended, once it has.
    pub(crate) fn ended(&self) -> Option<String> {
        self.exit.borrow().clone()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Option<String>> {
        self.exit.clone()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        if *lock(&self.alive) {
            // Fails only for a process that is gone, which is what a signal here wants anyway.
            let _ = kill(self.pid, signal);
        }
    }

    /// Waits until the child has ended; `false` when the deadline came first.
    pub(crate) fn wait(&self, patience: Duration) -> bool {
        poll(patience, || self.ended()).is_some()
    }

    /// Signals, waits, and kills what does not listen.
    pub(crate) fn end(&self, signal: Signal, patience: Duration) {
        self.signal(signal);
        if !self.wait(patience) {
            tracing::warn!(pid = self.pid(), "did not stop in time and is killed");
            self.signal(Signal::SIGKILL);
            self.wait(Duration::from_secs(5));
        }
    }
}

fn keep(
    mut child: std::process::Child,
    pid: Pid,
    alive: &Mutex<bool>,
    exited: &watch::Sender<Option<String>>,
) {
    while waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)
        .is_err_and(|errno| errno == nix::errno::Errno::EINTR)
    {}
    let mut alive = lock(alive);
    let how = child
        .wait()
        .map_or_else(|error| error.to_string(), |status| status.to_string());
    *alive = false;
    exited.send_replace(Some(how));
}

/// Asks again every few milliseconds until there is an answer or patience ends.
pub(crate) fn poll<T>(patience: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + patience;
    loop {
        let answer = ask();
        if answer.is_some() || Instant::now() >= deadline {
            return answer;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn lock(alive: &Mutex<bool>) -> MutexGuard<'_, bool> {
    alive.lock().unwrap_or_else(PoisonError::into_inner)
}
