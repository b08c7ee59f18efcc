//! What every handler and job may use.

use chassis::Host;
use common::token::Keyring;
use prometheus::IntCounterVec;

#[derive(Clone, Debug)]
pub(crate) struct State {
    pub host: Host,
    pub keys: Keyring,
    /// The largest CSV that may be uploaded, in bytes.
    pub import_limit: u64,
    /// Rows of imports, by outcome.
    pub import_rows: IntCounterVec,
}

impl State {
    pub(crate) fn new(host: Host, keys: Keyring, import_limit: u64) -> Self {
        let import_rows = host.metrics.counter(
            "leads_import_rows_total",
            "Rows of CSV imports, by what became of them.",
            &["outcome"],
        );
        Self {
            host,
            keys,
            import_limit,
            import_rows,
        }
    }
}
