//! How the campaigns in work are doing in this process: their speed, and what they wait for.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use common::dto::dispatch::{Limit, LimitKind};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Speed is told over so many seconds.
const SECONDS: usize = 10;
/// A limit that was not met for this long is none any more.
const FRESH: Duration = Duration::from_secs(5);
/// A campaign that nothing happened to for this long is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(300);

#[derive(Debug)]
pub(crate) struct Courses {
    began: Instant,
    courses: Mutex<HashMap<Uuid, Course>>,
}

impl Default for Courses {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            courses: Mutex::default(),
        }
    }
}

#[derive(Debug)]
struct Course {
    /// Known once it met a limit.
    workspace: Uuid,
    /// Messages answered, by second, and which second each place is of.
    sent: [(u64, u32); SECONDS],
    /// Nothing of it is claimed before this.
    waits_until: Option<Instant>,
    met: Vec<Met>,
    last: Instant,
}

#[derive(Clone, Debug)]
struct Met {
    limit: Limit,
    /// Met again and again since then.
    since: Instant,
    last: Instant,
}

/// What one replica tells of a campaign.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Told {
    pub(crate) sent: u32,
    pub(crate) limits: Vec<Limit>,
}

impl Courses {
    fn courses(&self) -> MutexGuard<'_, HashMap<Uuid, Course>> {
        self.courses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn second(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.began).as_secs()
    }

    fn change(&self, campaign: Uuid, now: Instant, change: impl FnOnce(&mut Course)) {
        let mut courses = self.courses();
        let course = courses.entry(campaign).or_insert_with(|| Course {
            workspace: Uuid::nil(),
            sent: [(0, 0); SECONDS],
            waits_until: None,
            met: Vec::new(),
            last: now,
        });
        course.last = now;
        change(course);
    }

    /// A server answered a message of it: no sender keeps it back.
    pub(crate) fn sent(&self, campaign: Uuid, now: Instant) {
        let second = self.second(now);
        self.change(campaign, now, |course| {
            let place = &mut course.sent[second as usize % SECONDS];
            if place.0 != second {
                *place = (second, 0);
            }
            place.1 += 1;
            if !course.met.is_empty() {
                let away = |met: &Met| met.limit.kind == LimitKind::SenderUnavailable;
                course.met.retain(|met| !away(met));
            }
        });
    }

    /// It met a limit.
    pub(crate) fn met(&self, (workspace, campaign): (Uuid, Uuid), limit: Limit, now: Instant) {
        self.change(campaign, now, |course| {
            course.workspace = workspace;
            let same = |met: &&mut Met| {
                (met.limit.kind, &met.limit.sender, &met.limit.domain)
                    == (limit.kind, &limit.sender, &limit.domain)
            };
            match course.met.iter_mut().find(same) {
                Some(met) => {
                    if now.saturating_duration_since(met.last) > FRESH * 4 {
                        met.since = now;
                    }
                    (met.limit, met.last) = (limit, now);
                }
                None => course.met.push(Met {
                    limit,
                    since: now,
                    last: now,
                }),
            }
        });
    }

    /// Nothing of it is worth being claimed before `until`.
    pub(crate) fn wait(&self, campaign: Uuid, until: Instant, now: Instant) {
        self.change(campaign, now, |course| {
            course.waits_until = course.waits_until.max(Some(until));
        });
    }

    /// Nobody waits any more: something has changed.
    pub(crate) fn try_all_again(&self) {
        for course in self.courses().values_mut() {
            course.waits_until = None;
        }
    }

    pub(crate) fn waits(&self, campaign: Uuid, now: Instant) -> bool {
        let courses = self.courses();
        let until = courses.get(&campaign).and_then(|course| course.waits_until);
        until.is_some_and(|until| now < until)
    }

    /// Campaigns that no sender has taken anything of for `long`, and why.
    pub(crate) fn held_back(&self, long: Duration, now: Instant) -> Vec<(Uuid, Uuid, String)> {
        let courses = self.courses();
        let held = courses.iter().filter_map(|(id, course)| {
            let met = course.met.iter().find(|met| {
                met.limit.kind == LimitKind::SenderUnavailable
                    && now.saturating_duration_since(met.since) >= long
            })?;
            Some((course.workspace, *id, met.limit.detail.clone()))
        });
        held.collect()
    }

    /// Whether a sender keeps it back as far as this process knows.
    pub(crate) fn is_kept_back(&self, campaign: Uuid) -> bool {
        let away = |met: &Met| met.limit.kind == LimitKind::SenderUnavailable;
        let courses = self.courses();
        courses
            .get(&campaign)
            .is_some_and(|course| course.met.iter().any(away))
    }

    /// Whether a server answered something of it in the last seconds.
    pub(crate) fn moves(&self, campaign: Uuid, now: Instant) -> bool {
        let second = self.second(now);
        let courses = self.courses();
        courses
            .get(&campaign)
            .is_some_and(|course| course.count(second) > 0)
    }

    /// What this process knows of every campaign it has had to do with lately.
    pub(crate) fn tell(&self, now: Instant) -> HashMap<Uuid, Told> {
        let second = self.second(now);
        let mut courses = self.courses();
        courses.retain(|_, course| now.saturating_duration_since(course.last) < FORGOTTEN);
        let told = courses.iter().map(|(id, course)| {
            let limits = course.met.iter().filter(|met| met.holds(now));
            let told = Told {
                sent: course.count(second),
                limits: limits.map(|met| met.limit.clone()).collect(),
            };
            (*id, told)
        });
        told.filter(|(_, told)| told.sent > 0 || !told.limits.is_empty())
            .collect()
    }
}

impl Course {
    /// Messages of the last seconds that are over.
    fn count(&self, second: u64) -> u32 {
        let lately = self
            .sent
            .iter()
            .filter(|(of, _)| of + SECONDS as u64 > second);
        lately.map(|(_, count)| count).sum()
    }
}

impl Met {
    /// A sender that is away stays so until it has answered.
    fn holds(&self, now: Instant) -> bool {
        let age = now.saturating_duration_since(self.last);
        match self.limit.kind {
            LimitKind::SenderUnavailable | LimitKind::WarmUp => age < FRESH * 15,
            _ => age < FRESH,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(kind: LimitKind) -> Limit {
        Limit {
            kind,
            sender: Some("A".into()),
            domain: None,
            detail: "refused".into(),
            until: None,
        }
    }

    #[test]
    fn speed_is_of_the_last_ten_seconds() {
        let (courses, id, now) = (Courses::default(), Uuid::now_v7(), Instant::now());
        for _ in 0..30 {
            courses.sent(id, now);
        }
        assert_eq!(courses.tell(now)[&id].sent, 30);
        let later = now + Duration::from_secs(9);
        courses.sent(id, later);
        assert_eq!(courses.tell(later)[&id].sent, 31);
        assert_eq!(courses.tell(now + Duration::from_secs(12))[&id].sent, 1);
        assert!(courses.tell(now + Duration::from_secs(60)).is_empty());
    }

    #[test]
    fn a_campaign_is_held_back_until_a_server_answers() {
        let (courses, id, now) = (Courses::default(), Uuid::now_v7(), Instant::now());
        let long = Duration::from_secs(3);
        courses.met((Uuid::nil(), id), limit(LimitKind::SenderUnavailable), now);
        assert!(courses.held_back(long, now).is_empty());
        let later = now + long;
        courses.met(
            (Uuid::nil(), id),
            limit(LimitKind::SenderUnavailable),
            later,
        );
        assert_eq!(
            courses.held_back(long, later),
            [(Uuid::nil(), id, "refused".to_owned())]
        );
        courses.sent(id, later);
        assert!(courses.held_back(long, later).is_empty());
        assert!(courses.moves(id, later) && !courses.is_kept_back(id));
    }

    #[test]
    fn a_limit_that_is_met_no_more_is_forgotten() {
        let (courses, id, now) = (Courses::default(), Uuid::now_v7(), Instant::now());
        courses.met((Uuid::nil(), id), limit(LimitKind::DomainRate), now);
        assert_eq!(
            courses.tell(now)[&id].limits,
            [limit(LimitKind::DomainRate)]
        );
        assert!(courses.tell(now + FRESH).is_empty());
    }

    #[test]
    fn a_campaign_waits_as_long_as_it_was_told_or_until_something_changes() {
        let (courses, id, now) = (Courses::default(), Uuid::now_v7(), Instant::now());
        assert!(!courses.waits(id, now));
        courses.wait(id, now + FRESH, now);
        assert!(courses.waits(id, now) && !courses.waits(id, now + FRESH));
        courses.try_all_again();
        assert!(!courses.waits(id, now));
    }
}
