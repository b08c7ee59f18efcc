use std::{fs, os::unix::fs::MetadataExt, path::Path, process::Command};

use nix::unistd::{Gid, Uid, User, chown, geteuid};

use crate::Error;

const CAP_DAC_OVERRIDE: u32 = 1;
const CAP_DAC_READ_SEARCH: u32 = 2;

/// Who a child process runs as.
///
/// Postgres refuses to run as root, so root hands it to an unprivileged user; anybody else runs
/// it as themselves.
#[derive(Debug, Clone)]
pub(crate) struct RunAs {
    /// Set when this process must change user, that is, when it is root.
    switch: Option<(Uid, Gid)>,
    name: String,
    /// A capability that lets the child pass through folders its user may not enter, such as
    /// `/root`. Only given when the data folder needs it.
    passage: Option<&'static str>,
}

impl RunAs {
    /// The owner of existing data, or else `postgres`, or else `nobody`.
    pub(crate) fn pick(data: &Path) -> Result<Self, Error> {
        if !geteuid().is_root() {
            let name = named(geteuid());
            return Ok(Self {
                switch: None,
                name,
                passage: None,
            });
        }
        let (uid, gid) = owner_of(data)
            .or_else(|| account("postgres"))
            .or_else(|| account("nobody"))
            .ok_or(Error::NoUser)?;
        Ok(Self {
            switch: Some((uid, gid)),
            name: named(uid),
            passage: None,
        })
    }

    /// Gives the child passage to `folder`, or says which of its parents bars the way.
    pub(crate) fn reach(mut self, folder: &Path) -> Result<Self, Error> {
        let Some((uid, gid)) = self.switch else {
            return Ok(self);
        };
        let Some(barred) = folder
            .ancestors()
            .skip(1)
            .find(|dir| !may_enter(dir, uid, gid))
        else {
            return Ok(self);
        };
        let held = held_capabilities();
        let holds = |bit: u32| held & (1 << bit) != 0;
        self.passage = if holds(CAP_DAC_READ_SEARCH) {
            Some("+dac_read_search")
        } else if holds(CAP_DAC_OVERRIDE) {
            Some("+dac_override")
        } else {
            return Err(Error::Untraversable {
                folder: folder.to_owned(),
                barred: barred.to_owned(),
                user: self.name,
            });
        };
        Ok(self)
    }

    /// Makes `path` belong to the user the child runs as.
    pub(crate) fn own(&self, path: &Path) -> Result<(), Error> {
        let Some((uid, gid)) = self.switch else {
            return Ok(());
        };
        chown(path, Some(uid), Some(gid)).map_err(|errno| Error::Unwritable {
            folder: path.to_owned(),
            source: errno.into(),
        })
    }

    /// `setpriv`, about to become the program named by the arguments that follow: as this user,
    /// and told `signal` by the kernel when the thread that spawned it ends.
    pub(crate) fn command(&self, signal: &str) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", signal]);
        if let Some((uid, gid)) = self.switch {
            command.args(["--reuid", &uid.to_string(), "--regid", &gid.to_string()]);
            command.arg("--clear-groups");
            let extra = self
                .passage
                .map(|cap| format!(",{cap}"))
                .unwrap_or_default();
            command.arg(format!("--inh-caps=-all{extra}"));
            command.arg(format!("--ambient-caps=-all{extra}"));
        }
        command.arg("--").current_dir("/");
        command
    }
}

fn account(name: &str) -> Option<(Uid, Gid)> {
    let user = User::from_name(name).ok()??;
    Some((user.uid, user.gid))
}

fn owner_of(data: &Path) -> Option<(Uid, Gid)> {
    let meta = fs::metadata(data).ok()?;
    (meta.uid() != 0).then(|| (Uid::from_raw(meta.uid()), Gid::from_raw(meta.gid())))
}

fn named(uid: Uid) -> String {
    User::from_uid(uid)
        .ok()
        .flatten()
        .map_or_else(|| uid.to_string(), |user| user.name)
}

fn may_enter(dir: &Path, uid: Uid, gid: Gid) -> bool {
    let Ok(meta) = fs::metadata(dir) else {
        return true;
    };
    let bit = if meta.uid() == uid.as_raw() {
        0o100
    } else if meta.gid() == gid.as_raw() {
        0o010
    } else {
        0o001
    };
    meta.mode() & bit != 0
}

fn held_capabilities() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or_default()
}
