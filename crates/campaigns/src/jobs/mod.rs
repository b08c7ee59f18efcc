//! Background work: start at a time, hand the audience over, pass on pause, resume and cancel.

mod dispatch;
mod launch;
mod tell;

use chassis::jobs::{Done, Runner};
use std::time::Duration;

use crate::State;
use crate::error::Error;

use crate::tasks::{Dispatch, Launch, Tell};

/// Knows how each kind of job is run.
pub(crate) fn runner(state: &State) -> Runner {
    let (launch, dispatch, tell) = (state.clone(), state.clone(), state.clone());
    Runner::new(&state.host)
        .on(move |job: Launch, _| launch::run(launch.clone(), job))
        .on(move |job: Dispatch, attempt| dispatch::run(dispatch.clone(), job, attempt))
        .on(move |job: Tell, attempt| tell::run(tell.clone(), job, attempt))
}

/// Again soon after the first failures, then every half minute; a campaign is never given up
/// because a peer is away.
fn again(error: &Error, attempt: u32) -> Done {
    let pause = Duration::from_millis(500 << attempt.min(6));
    Done::RetryAfter(pause.min(Duration::from_secs(30)), error.to_string())
}
