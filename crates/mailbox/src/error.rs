use std::{io, net::SocketAddr, path::PathBuf};

/// Why the mailbox does not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot listen on {addr}: {source}")]
    Listen { addr: SocketAddr, source: io::Error },
    #[error("mailbox folder {} cannot be used: {source}", folder.display())]
    Folder { folder: PathBuf, source: io::Error },
    #[error("mailbox folder {} is in use by another mailbox", .0.display())]
    InUse(PathBuf),
    #[error("the mailbox stopped serving: {0}")]
    Serve(io::Error),
}
