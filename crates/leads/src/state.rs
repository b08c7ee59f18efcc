//! What every handler and job may use.

use chassis::Host;
use common::FormId;
use common::token::Keyring;
use prometheus::IntCounterVec;

use crate::mails::Post;

#[derive(Clone, Debug)]
pub(crate) struct State {
    pub host: Host,
    pub keys: Keyring,
    pub post: Post,
    /// The largest CSV that may be uploaded, in bytes.
    pub import_limit: u64,
    /// Rows of imports, by outcome.
    pub import_rows: IntCounterVec,
}

impl State {
    pub(crate) fn new(host: Host, keys: Keyring, post: Post, import_limit: u64) -> Self {
        let import_rows = host.metrics.counter(
            "leads_import_rows_total",
            "Rows of CSV imports, by what became of them.",
            &["outcome"],
        );
        Self {
            host,
            keys,
            post,
            import_limit,
            import_rows,
        }
    }

    /// The address of a form's page.
    pub(crate) fn page_of(&self, form: FormId) -> String {
        let base = self.post.public_url.as_str().trim_end_matches('/');
        format!("{base}/f/{form}")
    }
}
