//! What the demo says while it works: a line for each step, and a bar while it lasts.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// A step under way. Lines go to stderr, where progress belongs; the report goes to stdout.
#[derive(Debug)]
pub(crate) struct Step {
    name: &'static str,
    began: Instant,
    bar: ProgressBar,
}

impl Step {
    /// A step of unknown length.
    pub(crate) fn begin(name: &'static str) -> Self {
        Self::with(
            name,
            ProgressBar::new_spinner(),
            "{spinner:.cyan} {msg:<24} {elapsed}",
        )
    }

    /// A step through `length` things.
    pub(crate) fn through(name: &'static str, length: usize) -> Self {
        let bar = ProgressBar::new(length as u64);
        Self::with(
            name,
            bar,
            "{spinner:.cyan} {msg:<24} [{bar:32.cyan/blue}] {human_pos}/{human_len} {elapsed}",
        )
    }

    fn with(name: &'static str, bar: ProgressBar, template: &str) -> Self {
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━╸─"));
        }
        bar.set_message(name);
        bar.enable_steady_tick(Duration::from_millis(100));
        Self {
            name,
            began: Instant::now(),
            bar,
        }
    }

    /// How far it is.
    pub(crate) fn at(&self, position: usize) {
        self.bar.set_position(position as u64);
    }

    /// One more is done.
    pub(crate) fn advance(&self) {
        self.bar.inc(1);
    }

    /// Sets how much there is in all, once that is known.
    pub(crate) fn of(&self, length: i64) {
        self.bar.set_length(length.unsigned_abs());
    }

    /// The step is over; its line stays.
    pub(crate) fn end(self, result: &str) {
        self.bar.finish_and_clear();
        let took = self.began.elapsed().as_secs_f64();
        eprintln!("✓ {:<24} {result} ({took:.1} s)", self.name);
    }
}

impl Drop for Step {
    /// A step that failed leaves no bar behind.
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A number with its thousands set apart.
pub(crate) fn thousands(number: impl TryInto<i64>) -> String {
    let number: i64 = number.try_into().unwrap_or(i64::MAX);
    indicatif::HumanCount(number.unsigned_abs()).to_string()
}
