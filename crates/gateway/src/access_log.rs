//! A line for each request, where the operator wants one. Lines gather and are written together.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use crate::request::Request;

const FULL: usize = 32 * 1024;

pub(crate) struct AccessLog {
    file: Option<Arc<File>>,
    lines: Vec<u8>,
}

impl AccessLog {
    pub(crate) fn new(file: Option<Arc<File>>) -> Self {
        let lines = Vec::new();
        Self { file, lines }
    }

    /// Notes a request, by its route: paths of links in mails are as good as passwords.
    pub(crate) fn note(
        &mut self,
        request: &Request<'_>,
        route: &str,
        status: u16,
        bytes: u64,
        took: Duration,
    ) {
        if self.file.is_none() {
            return;
        }
        let out = &mut self.lines;
        let mut number = itoa::Buffer::new();
        let mut member = |name: &str, value: &str, quoted: bool| {
            out.extend_from_slice(name.as_bytes());
            if quoted {
                out.push(b'"');
            }
            out.extend_from_slice(value.as_bytes());
            if quoted {
                out.push(b'"');
            }
        };
        let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
        // None of these holds anything that JSON would escape.
        member(
            "{\"time_ms\":",
            number.format(now.as_millis() as u64),
            false,
        );
        member(",\"request_id\":", request.trail.id(), true);
        member(",\"trace_id\":", request.trail.trace_id(), true);
        member(",\"from\":", &request.from.text, true);
        member(",\"method\":", request.method().as_str(), true);
        member(",\"route\":", route, true);
        member(",\"status\":", number.format(status), false);
        member(",\"bytes\":", number.format(bytes), false);
        member(
            ",\"took_us\":",
            number.format(took.as_micros() as u64),
            false,
        );
        out.extend_from_slice(b"}\n");
        if self.lines.len() >= FULL {
            self.flush();
        }
    }

    /// Writes what has gathered.
    pub(crate) fn flush(&mut self) {
        let Some(file) = &self.file else { return };
        if let Err(error) = file.as_ref().write_all(&self.lines) {
            tracing::error!(%error, "the access log cannot be written");
        }
        self.lines.clear();
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.flush();
    }
}
