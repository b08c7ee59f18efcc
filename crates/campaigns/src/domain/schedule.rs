//! When a campaign goes out: at an instant, at a wall-clock time in a zone, or at that time in
//! each recipient's own zone.

use chrono::offset::LocalResult;
use chrono::{DateTime, Duration, NaiveDateTime, TimeZone, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

/// The zone that is furthest ahead: there, any wall-clock time comes first.
const FURTHEST_AHEAD: Duration = Duration::hours(14);

/// `{at, timezone}` as a person gives it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = campaigns::Schedule)]
pub(crate) struct Schedule {
    /// RFC 3339 with an offset (`2026-12-01T09:00:00Z`), or a wall-clock time without one
    /// (`2026-12-01T09:00:00`), which then needs `timezone`.
    pub(crate) at: String,
    /// An IANA zone, or `recipient`: the wall-clock time of `at`, in everyone's own zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) timezone: Option<String>,
}

/// A schedule that makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Instant(DateTime<Utc>),
    Recipient(NaiveDateTime),
}

impl Schedule {
    /// Reads it; the error names the field.
    pub(crate) fn when(&self) -> Result<When, (&'static str, String)> {
        let wall = wall_clock(&self.at);
        match self.timezone.as_deref() {
            Some("recipient") => Ok(When::Recipient(wall.ok_or(("at", not_a_time()))?)),
            Some(zone) => {
                let zone: Tz = zone.parse().map_err(|_| {
                    (
                        "timezone",
                        "is neither an IANA zone nor \"recipient\"".to_owned(),
                    )
                })?;
                match DateTime::parse_from_rfc3339(&self.at) {
                    Ok(instant) => Ok(When::Instant(instant.to_utc())),
                    Err(_) => Ok(When::Instant(in_zone(
                        wall.ok_or(("at", not_a_time()))?,
                        zone,
                    ))),
                }
            }
            None => DateTime::parse_from_rfc3339(&self.at)
                .map(|instant| When::Instant(instant.to_utc()))
                .map_err(|_| match wall {
                    Some(_) => ("timezone", "is needed when `at` has no offset".to_owned()),
                    None => ("at", not_a_time()),
                }),
        }
    }
}

fn not_a_time() -> String {
    "is not an RFC 3339 time such as 2026-12-01T09:00:00Z".to_owned()
}

/// The reading of the clock on the wall, whatever offset follows it.
fn wall_clock(text: &str) -> Option<NaiveDateTime> {
    let with_offset = DateTime::parse_from_rfc3339(text).map(|instant| instant.naive_local());
    let formats = ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M"];
    let plain = || {
        formats
            .iter()
            .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
    };
    with_offset.ok().or_else(plain)
}

/// The instant of a wall-clock time. One that a clock change skips is taken an hour later, one
/// that happens twice the first time.
fn in_zone(wall: NaiveDateTime, zone: Tz) -> DateTime<Utc> {
    match zone.from_local_datetime(&wall) {
        LocalResult::Single(time) | LocalResult::Ambiguous(time, _) => time.to_utc(),
        LocalResult::None => match zone.from_local_datetime(&(wall + Duration::hours(1))) {
            LocalResult::Single(time) | LocalResult::Ambiguous(time, _) => time.to_utc(),
            LocalResult::None => wall.and_utc(),
        },
    }
}

impl When {
    /// When the first recipient may be due; dispatch begins here.
    pub(crate) fn earliest(self) -> DateTime<Utc> {
        match self {
            Self::Instant(instant) => instant,
            Self::Recipient(wall) => wall.and_utc() - FURTHEST_AHEAD,
        }
    }

    /// When it is over for everybody: at 12 hours behind UTC, the last zone reads that time.
    pub(crate) fn latest(self) -> DateTime<Utc> {
        match self {
            Self::Instant(instant) => instant,
            Self::Recipient(wall) => wall.and_utc() + Duration::hours(12),
        }
    }

    /// Not before this for a recipient in `zone`; an unknown zone counts as UTC.
    pub(crate) fn for_recipient(self, zone: Option<&str>) -> Option<DateTime<Utc>> {
        match self {
            Self::Instant(_) => None,
            Self::Recipient(wall) => {
                let zone = zone.and_then(|zone| zone.parse().ok()).unwrap_or(Tz::UTC);
                Some(in_zone(wall, zone))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(at: &str, timezone: Option<&str>) -> Schedule {
        Schedule {
            at: at.into(),
            timezone: timezone.map(Into::into),
        }
    }

    fn utc(text: &str) -> DateTime<Utc> {
        text.parse().expect("an RFC 3339 time")
    }

    #[test]
    fn an_instant_needs_no_zone_and_a_wall_clock_does() {
        let instant = schedule("2026-12-01T09:00:00+01:00", None).when();
        assert_eq!(instant, Ok(When::Instant(utc("2026-12-01T08:00:00Z"))));
        assert_eq!(
            schedule("2026-12-01T09:00:00", None)
                .when()
                .map_err(|e| e.0),
            Err("timezone")
        );
        let berlin = schedule("2026-12-01T09:00", Some("Europe/Berlin")).when();
        assert_eq!(berlin, Ok(When::Instant(utc("2026-12-01T08:00:00Z"))));
    }

    #[test]
    fn nonsense_is_named() {
        assert_eq!(
            schedule("tomorrow", None).when().map_err(|e| e.0),
            Err("at")
        );
        let moon = schedule("2026-12-01T09:00:00Z", Some("Moon/Base"));
        assert_eq!(moon.when().map_err(|e| e.0), Err("timezone"));
    }

    #[test]
    fn everyone_gets_it_at_nine_on_their_own_clock() {
        let when = schedule("2026-12-01T09:00:00Z", Some("recipient"))
            .when()
            .expect("a schedule");
        assert_eq!(
            when.for_recipient(Some("Asia/Tokyo")),
            Some(utc("2026-12-01T00:00:00Z"))
        );
        assert_eq!(
            when.for_recipient(Some("America/New_York")),
            Some(utc("2026-12-01T14:00:00Z"))
        );
        assert_eq!(when.for_recipient(None), Some(utc("2026-12-01T09:00:00Z")));
        assert!(when.earliest() <= utc("2026-12-01T00:00:00Z"));
    }

    #[test]
    fn a_time_that_the_clocks_skip_is_an_hour_later() {
        let skipped = schedule("2027-03-28T02:30:00", Some("Europe/Berlin")).when();
        assert_eq!(skipped, Ok(When::Instant(utc("2027-03-28T01:30:00Z"))));
    }
}
