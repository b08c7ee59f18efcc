//! Time as a parameter: the system's, or one that a test sets.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, Duration, TimeZone, Utc};

/// Tells the time. Clones of a set clock move together.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    #[default]
    System,
    /// Microseconds since 1970, moved by a test.
    Set(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands still at `now` until it is moved.
    pub fn set_to(now: DateTime<Utc>) -> Self {
        Self::Set(Arc::new(AtomicI64::new(now.timestamp_micros())))
    }

    pub fn now(&self) -> DateTime<Utc> {
        match self {
            Self::System => Utc::now(),
            Self::Set(micros) => Utc
                .timestamp_micros(micros.load(Ordering::SeqCst))
                .single()
                .unwrap_or_default(),
        }
    }

    /// Moves a set clock forward; the system's clock is left alone.
    pub fn advance(&self, by: Duration) {
        if let Self::Set(micros) = self {
            micros.fetch_add(by.num_microseconds().unwrap_or(0), Ordering::SeqCst);
        }
    }
}
