//! How much may wait: rows, requests and bytes, so that memory is bounded whatever is sent.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus::IntGauge;

use super::Limits;

/// Lets requests in while there is room. Clones share the room.
#[derive(Clone, Debug)]
pub(super) struct Gate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limits: Limits,
    held: Mutex<Held>,
    gauge: IntGauge,
}

#[derive(Clone, Copy, Debug, Default)]
struct Held {
    rows: usize,
    requests: usize,
    bytes: usize,
}

/// A place in the queue; dropping it gives it back.
#[derive(Debug)]
pub(super) struct Permit {
    gate: Gate,
    rows: usize,
    bytes: usize,
}

impl Gate {
    pub(super) fn new(limits: Limits, gauge: IntGauge) -> Self {
        Self(Arc::new(Inner {
            limits,
            held: Mutex::default(),
            gauge,
        }))
    }

    /// Room for a request, or nothing when it does not fit. An empty queue takes any request.
    pub(super) fn enter(&self, rows: usize, bytes: usize) -> Option<Permit> {
        let limits = &self.0.limits;
        let mut held = self.0.held.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = held.requests < limits.requests
            && held.rows + rows <= limits.rows
            && held.bytes + bytes <= limits.bytes;
        if held.requests > 0 && !fits {
            return None;
        }
        held.requests += 1;
        held.rows += rows;
        held.bytes += bytes;
        self.0
            .gauge
            .set(i64::try_from(held.rows).unwrap_or(i64::MAX));
        Some(Permit {
            gate: self.clone(),
            rows,
            bytes,
        })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let inner = &self.gate.0;
        let mut held = inner.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.requests -= 1;
        held.rows -= self.rows;
        held.bytes -= self.bytes;
        inner
            .gauge
            .set(i64::try_from(held.rows).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate() -> Gate {
        let limits = Limits {
            writers: 1,
            rows: 10,
            requests: 3,
            bytes: 100,
        };
        Gate::new(limits, IntGauge::new("rows", "rows").expect("a name"))
    }

    #[test]
    fn each_bound_holds_and_leaving_makes_room() {
        let gate = gate();
        let first = gate.enter(9, 10).expect("room");
        assert!(gate.enter(2, 1).is_none(), "rows");
        assert!(gate.enter(1, 91).is_none(), "bytes");
        let _second = gate.enter(1, 1).expect("room");
        drop(first);
        let _third = gate.enter(1, 1).expect("room");
        let _fourth = gate.enter(1, 1).expect("room");
        assert!(gate.enter(0, 0).is_none(), "requests");
    }

    #[test]
    fn a_request_larger_than_the_queue_is_taken_alone() {
        let gate = gate();
        let large = gate.enter(1000, 1_000_000).expect("the queue was empty");
        assert!(gate.enter(1, 1).is_none());
        drop(large);
        assert!(gate.enter(1, 1).is_some());
    }
}
