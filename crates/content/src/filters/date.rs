use std::fmt::Write as _;

use chrono::format::{Item, StrftimeItems};
use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use minijinja::{Error, State, Value};

use super::purse::charge;
use super::{as_text, is_missing, wrong};

/// Long enough for any date; what it prints is at most some tens of times as long.
const MAX_FORMAT: usize = 64;

/// `date('%-d %B %Y', lead.timezone)`: an RFC 3339 time or a plain date, printed.
///
/// Without a format it prints `5 January 2026`; without a time zone, or with a
/// missing one, in UTC. A plain date has no zone to convert.
pub(super) fn date(
    state: &mut State<'_, '_>,
    value: &Value,
    format: Option<&str>,
    zone: Option<Value>,
) -> Result<Value, Error> {
    if is_missing(value) {
        return Ok(value.clone());
    }
    let format = format.unwrap_or("%-d %B %Y");
    if format.len() > MAX_FORMAT {
        return Err(wrong(format!(
            "a date format is at most {MAX_FORMAT} bytes long"
        )));
    }
    charge(state, MAX_FORMAT * 16)?;
    let items: Vec<Item<'_>> = StrftimeItems::new(format).collect();
    if items.iter().any(|item| matches!(item, Item::Error)) {
        return Err(wrong(format!("`{format}` is not a date format")));
    }
    let text = as_text(value)?;
    let mut printed = String::new();
    let written = match moment(&text)? {
        Moment::Day(day) => write!(printed, "{}", day.format_with_items(items.iter())),
        Moment::Time(time) => {
            let time = time.with_timezone(&timezone(zone.as_ref())?);
            write!(printed, "{}", time.format_with_items(items.iter()))
        }
    };
    written.map_err(|_| wrong(format!("`{text}` has no part for the format `{format}`")))?;
    Ok(printed.into())
}

enum Moment {
    Day(NaiveDate),
    Time(DateTime<Utc>),
}

fn moment(text: &str) -> Result<Moment, Error> {
    let text = text.trim();
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(Moment::Time(time.with_timezone(&Utc)));
    }
    text.parse().map(Moment::Day).map_err(|_| {
        wrong("expected a date such as 2026-01-05 or a time such as 2026-01-05T09:00:00Z")
    })
}

fn timezone(zone: Option<&Value>) -> Result<Tz, Error> {
    let Some(zone) = zone.filter(|zone| !is_missing(zone)) else {
        return Ok(Tz::UTC);
    };
    let name = as_text(zone)?;
    name.parse()
        .map_err(|_| wrong(format!("`{name}` is not a time zone")))
}
