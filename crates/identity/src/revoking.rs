//! Telling every process of this installation what was revoked.

use std::time::Duration;

use chassis::revocation;
use chrono::Utc;

use crate::error::Error;
use crate::sessions::away;
use crate::state::State;
use crate::store::revocations;

const PAGE: i64 = 1_000;
/// How often somebody looks for what could not be told when it was revoked.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often somebody looks whether Redis still knows.
const CHECK_EVERY: u32 = 10;

/// Tells what was just revoked. The change has committed by now, so this fails nobody: what cannot
/// be told at the moment is told as soon as it can.
pub(crate) async fn tell(state: &State) {
    if let Err(error) = try_to_tell(state).await {
        tracing::warn!(%error, "what was revoked is told when Redis is back");
    }
}

async fn try_to_tell(state: &State) -> Result<(), Error> {
    loop {
        let untold = state
            .host
            .db
            .run(|conn| Ok::<_, Error>(revocations::untold(conn, PAGE)?))
            .await?;
        if untold.is_empty() {
            return Ok(());
        }
        for revocation in &untold {
            state.host.verifier.revocations().add(*revocation);
        }
        let mut redis = crate::sessions::redis(state)?.get().await?;
        revocation::publish(&mut redis, &untold)
            .await
            .map_err(away)?;
        state
            .host
            .db
            .transaction(move |conn| Ok::<_, Error>(revocations::mark_told(conn, &untold)?))
            .await?;
    }
}

/// Tells what is left over, and everything again when Redis has forgotten it, until the service
/// stops.
pub(crate) async fn keep_telling(state: State) {
    let (mut turn, mut failing) = (0_u32, false);
    loop {
        let told = keep_told(&state, turn.is_multiple_of(CHECK_EVERY)).await;
        match &told {
            Err(error) if !failing => tracing::warn!(%error, "revocations cannot be told"),
            _ => {}
        }
        failing = told.is_err();
        turn = turn.wrapping_add(1);
        tokio::select! {
            () = state.host.stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

async fn keep_told(state: &State, check: bool) -> Result<(), Error> {
    if check {
        let mut redis = crate::sessions::redis(state)?.get().await?;
        let forgotten = !revocation::is_kept(&mut redis).await.map_err(away)?;
        state
            .host
            .db
            .transaction(move |conn| {
                revocations::prune(conn, Utc::now())?;
                if forgotten {
                    revocations::tell_again(conn)?;
                }
                Ok::<_, Error>(())
            })
            .await?;
    }
    try_to_tell(state).await
}
