//! CPU time from `/proc`, user and system: steadier than rates on a machine that others use too.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use anyhow::Context;

/// What a process has used, its ended children included, with those of it that still run.
pub(super) fn of_tree(pid: u32) -> anyhow::Result<Duration> {
    let mut children = HashMap::<u32, Vec<u32>>::new();
    let entries = fs::read_dir("/proc").context("cannot read /proc")?;
    for entry in entries.flatten() {
        let Some(child) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        if let Ok(stat) = Stat::of(child) {
            children.entry(stat.parent).or_default().push(child);
        }
    }
    let (mut ticks, mut waiting) = (0, vec![pid]);
    while let Some(pid) = waiting.pop() {
        // One that ended meanwhile is counted with its parent the next time.
        ticks += Stat::of(pid).map_or(0, |stat| stat.ticks);
        waiting.extend(children.get(&pid).into_iter().flatten());
    }
    // Linux counts a hundred a second wherever it runs today.
    Ok(Duration::from_millis(ticks * 10))
}

struct Stat {
    parent: u32,
    ticks: u64,
}

impl Stat {
    fn of(pid: u32) -> anyhow::Result<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat"))?).context("an unknown format")
    }

    /// proc(5): the name may hold spaces and brackets, so fields count from the last bracket.
    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        Some(Self {
            parent: fields.get(1)?.parse().ok()?,
            ticks: number(11)? + number(12)? + number(13)? + number(14)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_proc_is_read_past_its_name() {
        let stat = Stat::parse("7 (a (b) c) S 3 7 7 0 -1 0 0 0 0 0 10 20 30 40 20 0").unwrap();
        assert_eq!((stat.parent, stat.ticks), (3, 100));
        assert!(Stat::parse("7 (x) S").is_none());
    }

    #[test]
    fn work_is_counted() {
        let before = of_tree(std::process::id()).unwrap();
        let mut sum = 0_u64;
        while of_tree(std::process::id()).unwrap() < before + Duration::from_millis(20) {
            sum = (0..100_000).fold(sum, |sum, number| std::hint::black_box(sum ^ number));
        }
        assert!(std::hint::black_box(sum) < u64::MAX);
    }
}
