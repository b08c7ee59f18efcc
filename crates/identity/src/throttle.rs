//! Guessing is slowed down: after so many wrong passwords or codes for a person from one place, and
//! from everywhere, the next ones have to wait. An address that nobody has is treated alike.

use chassis::http::Origin;
use deadpool_redis::redis::{AsyncCommands, pipe};
use diesel::PgConnection;

use crate::domain::User;
use crate::error::Error;
use crate::sessions::{away, redis};
use crate::state::State;
use crate::tokens;

const WINDOW_S: i64 = 900;
/// Wrong ones within the window, for one account from one place …
const FROM_ONE_PLACE: i64 = 10;
/// … and for one account from anywhere, which a botnet reaches and its owner does not.
const FROM_ANYWHERE: i64 = 100;

/// Whose password is tried: a person, or whoever an unknown address belongs to.
#[derive(Clone, Debug)]
pub(crate) struct Target(String);

impl Target {
    pub(crate) fn of(user: Option<&User>, email_key: &str) -> Self {
        Self(match user {
            Some(user) => user.id.to_string(),
            None => hex::encode(&tokens::hash(email_key)[..16]),
        })
    }
}

fn keys(Target(account): &Target, origin: &Origin) -> [String; 2] {
    let place = origin.address.map(|address| address.to_string());
    [
        format!("identity:wrong:{account}"),
        format!("identity:wrong:{account}:{}", place.unwrap_or_default()),
    ]
}

/// Fails if there were too many wrong ones a moment ago.
pub(crate) async fn check(state: &State, target: &Target, origin: &Origin) -> Result<(), Error> {
    let mut redis = redis(state)?.get().await?;
    let counts: [Option<i64>; 2] = redis.mget(&keys(target, origin)).await.map_err(away)?;
    let [anywhere, here] = counts.map(Option::unwrap_or_default);
    match anywhere >= FROM_ANYWHERE || here >= FROM_ONE_PLACE {
        true => Err(Error::TooManyAttempts(WINDOW_S.unsigned_abs())),
        false => Ok(()),
    }
}

/// Runs `take`, which takes a code of somebody's second factor, in a transaction, unless there were
/// too many wrong ones a moment ago; a wrong one is counted.
pub(crate) async fn code(
    state: &State,
    user: &User,
    origin: &Origin,
    take: impl FnOnce(&mut PgConnection) -> Result<(), Error> + Send + 'static,
) -> Result<(), Error> {
    let target = Target::of(Some(user), "");
    check(state, &target, origin).await?;
    let taken = state.host.db.transaction(take).await;
    if matches!(taken, Err(Error::CodeWrong)) {
        note(state, &target, origin).await?;
    }
    taken
}

/// Counts a wrong one.
pub(crate) async fn note(state: &State, target: &Target, origin: &Origin) -> Result<(), Error> {
    let mut redis = redis(state)?.get().await?;
    let mut count = pipe();
    for key in keys(target, origin) {
        count.incr(&key, 1).ignore();
        // From the first one on: a steady trickle does not keep its owner out for ever.
        count
            .cmd("EXPIRE")
            .arg(&key)
            .arg(WINDOW_S)
            .arg("NX")
            .ignore();
    }
    count.exec_async(&mut redis).await.map_err(away)
}
