//! What tests stand on: real Postgres and Redis, a database per test, a service on a free port,
//! clients that hold a role, and stand-ins for the other services.

mod app;
mod authority;
mod client;
mod database;
mod dns;
mod identity;
mod logged;
mod oidc;
mod peers;
mod servers;

pub use app::{Setup, TestService};
pub use authority::{Authority, Certificate};
pub use client::{Client, Request, Response};
pub use database::Database;
pub use dns::Zone;
pub use identity::Issuer;
pub use logged::Logged;
pub use oidc::{OidcProvider, Vouched, Wrong};
pub use peers::StubPeer;
pub use servers::Servers;

use std::future::Future;
use std::time::{Duration, Instant};

/// Waits until `condition` holds, looking often; panics with `what` after 30 seconds.
///
/// For what another thread or process does in its own time. Time that a service measures is moved
/// by its clock instead.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition().await {
        assert!(Instant::now() < deadline, "not within 30 s: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
