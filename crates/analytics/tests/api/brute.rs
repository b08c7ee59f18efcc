//! Answers against slow and obvious ways to the same: random events, random questions.

use std::collections::{BTreeMap, BTreeSet};

use analytics::domain::attribution::{self, Model};
use analytics::domain::event::{Event, Said};
use analytics::domain::verdict::Verdict;
use analytics::domain::visitor::Visitor;
use analytics::jobs::roll_up;
use analytics::store::{counted, days, events, people, rollups};
use chrono::{DateTime, Datelike, Duration, NaiveDate, Timelike, Utc};
use chrono_tz::Tz;
use common::auth::Role;
use common::{CampaignId, LeadId, WorkspaceId};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::support::{App, engagement_in, figures};

/// One random event.
#[derive(Clone, Debug)]
struct Spec {
    kind: usize,
    human: bool,
    campaign: Option<usize>,
    visitor: usize,
    /// Minutes after the first moment that it was received.
    received: i64,
    /// Minutes that it happened before that.
    ago: i64,
    amount: Option<i64>,
    order: usize,
    device: usize,
}

const KINDS: [&str; 6] = ["view", "open", "click", "unsubscribe", "goal", "track"];
const DEVICES: [Option<&str>; 3] = [None, Some("mobile"), Some("desktop")];
const ZONES: [&str; 5] = [
    "UTC",
    "Asia/Kolkata",
    "America/New_York",
    "Australia/Lord_Howe",
    "Pacific/Chatham",
];

fn spec() -> impl Strategy<Value = Spec> {
    let who = (
        0usize..6,
        any::<bool>(),
        prop::option::of(0usize..2),
        0usize..5,
    );
    let when = (
        0i64..2 * 1440,
        prop_oneof![Just(0i64), 0i64..120, 0i64..3000],
    );
    let what = (prop::option::of(-500i64..1000), 0usize..4, 0usize..3);
    (who, when, what).prop_map(|(who, when, what)| Spec {
        kind: who.0,
        human: who.1 || who.3 > 0,
        campaign: who.2,
        visitor: who.3,
        received: when.0,
        ago: when.1,
        amount: what.0.filter(|_| who.0 >= 4),
        order: what.1,
        device: what.2,
    })
}

fn specs() -> impl Strategy<Value = Vec<Spec>> {
    prop::collection::vec(spec(), 0..40)
}

/// A workspace with random events, and what the questions are about.
struct World<'a> {
    app: &'a App,
    workspace: WorkspaceId,
    campaigns: [CampaignId; 2],
    start: DateTime<Utc>,
    events: Vec<Event>,
}

impl<'a> World<'a> {
    fn new(app: &'a App, specs: &[Spec]) -> Self {
        let start = app.clock.now() - Duration::hours(20);
        let mut world = Self {
            app,
            workspace: WorkspaceId::new(),
            campaigns: [CampaignId::new(), CampaignId::new()],
            start,
            events: Vec::new(),
        };
        world.events = specs.iter().map(|spec| world.event(spec)).collect();
        world
    }

    fn event(&self, spec: &Spec) -> Event {
        let received = self.start + Duration::minutes(spec.received);
        let mut event = Event::new(self.workspace, KINDS[spec.kind], received);
        // Seconds keep events apart, so that no two questions are answered by chance.
        event.occurred_at = received - Duration::minutes(spec.ago);
        event.campaign_id = spec.campaign.map(|index| self.campaigns[index]);
        event.anonymous_id = (spec.visitor > 0).then(|| format!("v{}", spec.visitor));
        event.amount = spec.amount.filter(|amount| *amount != 0);
        event.currency = event.amount.map(|_| "EUR".to_owned());
        event.order_id = event
            .amount
            .filter(|_| spec.order > 0)
            .map(|_| format!("o{}", spec.order));
        event.name = (event.kind == "track").then(|| format!("n{}", spec.order));
        event.lead_id = (spec.visitor == 4).then_some(LeadId(self.workspace.0));
        event.url = (spec.order > 1).then(|| format!("https://shop.example/{}", spec.order));
        event.device = DEVICES[spec.device];
        event.utm_source = event.device.map(str::to_owned);
        event.country = event.device.map(|device| device[..2].to_uppercase());
        if !spec.human {
            event.verdict = Verdict::Bot;
        }
        event.recognise();
        event
    }

    fn store(&self, events: &[Event]) {
        let rows: Vec<_> = events.iter().collect();
        events::copy(&mut self.app.connect(), &rows).expect("events are stored");
    }

    async fn ask(&self, path: &str) -> Value {
        let analyst = self.app.as_role_in(self.workspace, Role::Analyst);
        let answer = analyst
            .get(format!("/api/v1/analytics/{path}"))
            .send()
            .await;
        answer.assert_status(200).json()
    }

    fn humans(&self) -> impl Iterator<Item = &Event> {
        self.events
            .iter()
            .filter(|event| event.verdict == Verdict::Human)
    }
}

/// A period and a campaign, as a query and as a test of an event.
#[derive(Clone, Debug)]
struct Period {
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    campaign: Option<CampaignId>,
}

impl Period {
    fn of(world: &World<'_>, from: i64, length: i64, campaign: Option<usize>) -> Self {
        let from = world.start + Duration::minutes(from);
        Self {
            from,
            to: from + Duration::minutes(length),
            campaign: campaign.map(|index| world.campaigns[index]),
        }
    }

    fn query(&self) -> String {
        let time = |at: DateTime<Utc>| at.format("%Y-%m-%dT%H:%M:%SZ").to_string();
        let mut query = format!("from={}&to={}", time(self.from), time(self.to));
        if let Some(campaign) = self.campaign {
            query.push_str(&format!("&campaign_id={campaign}"));
        }
        query
    }

    fn has(&self, event: &Event) -> bool {
        let at = event.occurred_at;
        at >= self.from
            && at < self.to
            && self.campaign.is_none_or(|id| event.campaign_id == Some(id))
    }
}

fn question() -> impl Strategy<Value = (i64, i64, Option<usize>)> {
    let from = prop_oneof![
        -3000i64..2880,
        (-200i64..190).prop_map(|quarter| quarter * 15)
    ];
    (
        from,
        prop_oneof![1i64..120, 1i64..6000],
        prop::option::of(0usize..2),
    )
}

/// Every count of an overview, one event after another.
fn counts<'a>(events: impl Iterator<Item = &'a Event> + Clone) -> BTreeMap<&'static str, i64> {
    let human = |event: &&Event| event.verdict == Verdict::Human;
    let of = |kind: &'static str| {
        events
            .clone()
            .filter(human)
            .filter(|event| event.kind == kind)
            .count() as i64
    };
    let visitors: BTreeSet<_> = events
        .clone()
        .filter(human)
        .filter_map(|event| event.visitor)
        .collect();
    let conversions = events
        .clone()
        .filter(human)
        .filter(|event| event.kind == "goal" || event.amount.is_some_and(|amount| amount > 0));
    BTreeMap::from([
        ("events", events.clone().count() as i64),
        (
            "machine",
            events.clone().filter(|event| !human(event)).count() as i64,
        ),
        ("views", of("view")),
        ("opens", of("open")),
        ("clicks", of("click")),
        ("unsubscribes", of("unsubscribe")),
        ("conversions", conversions.count() as i64),
        ("visitors", visitors.len() as i64),
    ])
}

fn answered(view: &Value, names: &BTreeMap<&'static str, i64>) -> BTreeMap<&'static str, i64> {
    let value = |name: &&'static str| (*name, view[*name].as_i64().unwrap_or(-1));
    names.keys().map(value).collect()
}

/// Runs `check` on random input, all of it on one service.
fn on_random<S: Strategy>(
    cases: u32,
    strategy: S,
    check: impl Fn(&App, &Runtime, S::Value) -> Result<(), TestCaseError>,
) where
    S::Value: std::fmt::Debug,
{
    let runtime = Runtime::new().expect("a runtime");
    let app = runtime.block_on(App::start());
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 60,
        ..Config::default()
    };
    TestRunner::new(config)
        .run(&strategy, |input| check(&app, &runtime, input))
        .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn what_is_kept_up_equals_what_is_counted() {
    let input = (
        specs(),
        specs(),
        question(),
        0usize..5,
        0usize..3,
        any::<(bool, bool, bool)>(),
    );
    on_random(
        60,
        input,
        |app, runtime, (before, after, question, zone, unit, (close, count_again, close_again))| {
            let mut world = World::new(app, &before);
            world.store(&world.events);
            let mut conn = app.connect();
            roll_up::all(&mut conn, app.clock.now()).expect("it counts");
            close_all(&mut conn, close);
            let later: Vec<_> = after.iter().map(|spec| world.event(spec)).collect();
            world.store(&later);
            world.events.extend(later);
            if count_again {
                roll_up::all(&mut conn, app.clock.now()).expect("it counts");
                prop_assert_eq!(counted::dirty_hours(&mut conn, world.workspace), Ok(0));
                close_all(&mut conn, close_again);
            }
            let period = Period::of(&world, question.0, question.1, question.2);
            runtime.block_on(compare(
                &world,
                &period,
                ZONES[zone],
                ["hour", "day", "week"][unit],
            ))
        },
    );
}

/// Closes also the days that are not over: what is read of a day must not depend on it.
fn close_all(conn: &mut diesel::PgConnection, really: bool) {
    let ever = DateTime::<Utc>::MAX_UTC - Duration::days(366 * 200_000);
    let open = days::to_close(conn, ever, 1_000).expect("days are listed");
    for day in open.into_iter().filter(|_| really) {
        while !days::close(conn, day).expect("a day is closed") {}
    }
}

async fn compare(
    world: &World<'_>,
    period: &Period,
    zone: &str,
    unit: &str,
) -> Result<(), TestCaseError> {
    let within = || world.events.iter().filter(|event| period.has(event));
    let expected = counts(within());
    let overview = world.ask(&format!("overview?{}", period.query())).await;
    prop_assert_eq!(answered(&overview, &expected), expected);
    let humans = || within().filter(|event| event.verdict == Verdict::Human);
    let revenue: Option<i64> = humans()
        .filter_map(|event| event.amount)
        .reduce(|a, b| a + b);
    prop_assert_eq!(overview["revenue"][0]["amount"].as_i64(), revenue);

    let query = format!(
        "timeseries?{}&interval={unit}&timezone={zone}",
        period.query()
    );
    let series = world.ask(&query).await;
    let points = series["points"].as_array().expect("points");
    let at = |point: &Value| {
        point["at"]
            .as_str()
            .and_then(|at| at.parse::<DateTime<Utc>>().ok())
    };
    let times: Vec<_> = points
        .iter()
        .map(|point| at(point).expect("a time"))
        .collect();
    prop_assert!(times[0] <= period.from && times.is_sorted());
    for (index, point) in points.iter().enumerate() {
        let local = times[index].with_timezone(&zone.parse::<Tz>().expect("a zone"));
        let begins = local.minute() == 0
            && (unit == "hour" || local.hour() == 0)
            && (unit != "week" || local.weekday() == chrono::Weekday::Mon);
        prop_assert!(begins, "{} is the beginning of no {}", local, unit);
        let end = times.get(index + 1).copied().unwrap_or(period.to);
        let here = within().filter(|event| (times[index]..end).contains(&event.occurred_at));
        let expected = counts(here);
        prop_assert_eq!(answered(point, &expected), expected, "at {}", times[index]);
    }

    for campaign in world.campaigns {
        let answer = engagement_in(world.app, world.workspace, campaign).await;
        let of = |kind: &str, url: Option<&str>| -> (i64, i64, i64) {
            let hits = world.events.iter().filter(|event| {
                event.campaign_id == Some(campaign)
                    && event.kind == kind
                    && url.is_none_or(|url| event.url.as_deref() == Some(url))
            });
            let (human, machine): (Vec<_>, Vec<_>) =
                hits.partition(|event| event.verdict == Verdict::Human);
            let leads: BTreeSet<_> = human.iter().filter_map(|event| event.lead_id).collect();
            (human.len() as i64, machine.len() as i64, leads.len() as i64)
        };
        prop_assert_eq!(figures(answer.opens), of("open", None));
        prop_assert_eq!(figures(answer.clicks), of("click", None));
        prop_assert_eq!(figures(answer.unsubscribes), of("unsubscribe", None));
        let clicked: BTreeSet<_> = world
            .events
            .iter()
            .filter(|event| event.campaign_id == Some(campaign) && event.kind == "click")
            .filter_map(|event| event.url.as_deref())
            .collect();
        prop_assert_eq!(answer.links.len(), clicked.len());
        for link in answer.links {
            prop_assert_eq!(figures(link.hits), of("click", Some(&link.url)));
        }
    }

    for (path, name) in [
        ("devices", "device"),
        ("channels", "source"),
        ("countries", "country"),
    ] {
        let answer = world.ask(&format!("{path}?{}", period.query())).await;
        let mut expected: BTreeMap<Option<String>, Vec<&Event>> = BTreeMap::new();
        for event in humans() {
            let key = match path {
                "devices" => Some(event.device.unwrap_or("unknown").to_owned()),
                "countries" => match event.country.clone() {
                    Some(country) => Some(country),
                    None => continue,
                },
                _ => event.utm_source.clone(),
            };
            expected.entry(key).or_default().push(event);
        }
        let items = answer["items"].as_array().expect("items");
        prop_assert_eq!(items.len(), expected.len());
        for item in items {
            let found = &expected[&item[name].as_str().map(str::to_owned)];
            let mut counted = counts(found.iter().copied());
            counted.retain(|name, _| {
                ["events", "views", "clicks", "conversions", "visitors"].contains(name)
            });
            prop_assert_eq!(answered(item, &counted), counted);
        }
    }
    Ok(())
}

#[test]
fn people_who_turn_out_to_be_one_are_counted_as_one() {
    let input = (specs(), prop::collection::vec((1usize..5, 0usize..2), 1..4));
    on_random(15, input, |app, runtime, (specs, merges)| {
        let mut world = World::new(app, &specs);
        world.store(&world.events);
        let mut conn = app.connect();
        roll_up::all(&mut conn, app.clock.now()).expect("it counts");
        let workspace = world.workspace;
        let mut owners: BTreeMap<Visitor, Visitor> = BTreeMap::new();
        for (visitor, owner) in merges {
            let anonymous = Visitor::anonymous(workspace, &format!("v{visitor}"));
            let user = Visitor::user(workspace, &format!("u{owner}"));
            owners.entry(anonymous).or_insert(user);
            let said = Said::Identified {
                anonymous: Some(anonymous),
                user: Some(user),
                lead: None,
                email: None,
            };
            people::hear(&mut conn, &[(workspace, &said)]).expect("it is heard");
        }
        roll_up::all(&mut conn, app.clock.now()).expect("it counts");
        for event in &mut world.events {
            event.visitor = event
                .visitor
                .map(|visitor| owners.get(&visitor).copied().unwrap_or(visitor));
        }
        let period = Period::of(&world, -5000, 10_000, None);
        runtime.block_on(compare(&world, &period, "UTC", "day"))
    });
}

#[test]
fn a_hit_that_is_judged_anew_is_counted_anew() {
    on_random(10, specs(), |app, runtime, specs| {
        let mut world = World::new(app, &specs);
        world.store(&world.events);
        let mut conn = app.connect();
        roll_up::all(&mut conn, app.clock.now()).expect("it counts");
        for event in world.events.iter_mut().step_by(3) {
            let sql = format!(
                "UPDATE events SET verdict = 'scanner' WHERE id = '{}'",
                event.id
            );
            diesel::RunQueryDsl::execute(diesel::sql_query(sql), &mut conn).expect("a row");
            let touched = std::iter::once((world.workspace, event.received_at));
            rollups::touch(&mut conn, touched).expect("it is marked");
            event.verdict = Verdict::Scanner;
        }
        let period = Period::of(&world, -5000, 10_000, None);
        runtime.block_on(compare(&world, &period, "UTC", "day"))
    });
}

/// How far each person got, by trying every beginning.
fn funnel(world: &World<'_>, period: &Period, steps: &[&str], window: Duration) -> Vec<i64> {
    let mut reached = vec![BTreeSet::new(); steps.len()];
    let events: Vec<_> = world.humans().filter(|event| period.has(event)).collect();
    let takes = |event: &Event, step: &str| match step.split_once(':') {
        Some((kind, name)) => event.kind == kind && event.name.as_deref() == Some(name),
        None => event.kind == step,
    };
    for first in events.iter().filter(|event| takes(event, steps[0])) {
        let Some(person) = first.visitor else {
            continue;
        };
        let (mut at, began) = (first.occurred_at, first.occurred_at);
        reached[0].insert(person);
        for (index, step) in steps.iter().enumerate().skip(1) {
            let next = events
                .iter()
                .filter(|event| event.visitor == Some(person) && takes(event, step))
                .map(|event| event.occurred_at)
                .filter(|next| *next > at && *next - began <= window)
                .min();
            let Some(next) = next else { break };
            reached[index].insert(person);
            at = next;
        }
    }
    reached.iter().map(|people| people.len() as i64).collect()
}

#[test]
fn funnels_agree_with_trying_every_beginning() {
    let steps = prop::collection::vec(0usize..8, 2..5);
    let input = (
        prop::collection::vec(spec(), 0..80),
        0usize..160,
        steps,
        question(),
        1i64..3,
    );
    on_random(
        60,
        input,
        |app, runtime, (specs, packed, steps, question, days)| {
            let world = World::new(app, &specs);
            // Some hours are packed, some are to be packed again, some are not packed at all.
            let (first, rest) = world.events.split_at(packed.min(world.events.len()));
            world.store(first);
            roll_up::all(&mut app.connect(), app.clock.now()).expect("it counts");
            world.store(rest);
            let named = ["track:n1", "track:n2"];
            let step = |kind: usize| KINDS.iter().chain(&named).nth(kind).copied();
            let steps: Vec<_> = steps.into_iter().filter_map(step).collect();
            let period = Period::of(&world, question.0, question.1, question.2);
            let path = format!(
                "funnel?{}&steps={}&window_days={days}",
                period.query(),
                steps.join(",")
            );
            let answer = runtime.block_on(world.ask(&path));
            let people = answer["steps"].as_array().expect("steps").iter();
            let people: Vec<_> = people
                .map(|step| step["people"].as_i64().unwrap_or(-1))
                .collect();
            prop_assert_eq!(
                people,
                funnel(&world, &period, &steps, Duration::days(days))
            );
            Ok(())
        },
    );
}

#[test]
fn retention_agrees_with_following_every_person() {
    let step = || prop::option::of(0usize..6);
    let input = (
        prop::collection::vec(spec(), 0..80),
        step(),
        step(),
        0usize..5,
        any::<bool>(),
        question(),
    );
    on_random(
        40,
        input,
        |app, runtime, (specs, start, back, zone, weeks, question)| {
            let world = World::new(app, &specs);
            world.store(&world.events);
            let period = Period::of(&world, question.0, question.1, question.2);
            let tz: Tz = ZONES[zone].parse().expect("a zone");
            let bucket = |at: DateTime<Utc>| -> NaiveDate {
                let day = at.with_timezone(&tz).date_naive();
                match weeks {
                    true => day - Duration::days(day.weekday().num_days_from_monday().into()),
                    false => day,
                }
            };
            let matches = |event: &&Event, step: Option<usize>| {
                period.has(event) && step.is_none_or(|kind| event.kind == KINDS[kind])
            };
            let mut cohort: BTreeMap<Visitor, NaiveDate> = BTreeMap::new();
            for event in world.humans().filter(|event| matches(event, start)) {
                let Some(person) = event.visitor else {
                    continue;
                };
                let at = bucket(event.occurred_at);
                let first = cohort.entry(person).or_insert(at);
                *first = at.min(*first);
            }
            let mut expected: BTreeMap<(NaiveDate, i64), BTreeSet<Visitor>> = BTreeMap::new();
            for (person, at) in &cohort {
                expected.entry((*at, 0)).or_default().insert(*person);
                for event in world.humans().filter(|event| matches(event, back)) {
                    let later =
                        (bucket(event.occurred_at) - *at).num_days() / if weeks { 7 } else { 1 };
                    if event.visitor == Some(*person) && later > 0 {
                        expected.entry((*at, later)).or_default().insert(*person);
                    }
                }
            }
            let mut path = format!("retention?{}&timezone={}", period.query(), ZONES[zone]);
            path.push_str(if weeks {
                "&interval=week"
            } else {
                "&interval=day"
            });
            for (name, step) in [("start", start), ("back", back)] {
                if let Some(kind) = step {
                    path.push_str(&format!("&{name}={}", KINDS[kind]));
                }
            }
            let answer = runtime.block_on(world.ask(&path));
            let mut found: BTreeMap<(NaiveDate, i64), i64> = BTreeMap::new();
            for row in answer["cohorts"].as_array().expect("cohorts") {
                let at: DateTime<Utc> = row["at"]
                    .as_str()
                    .and_then(|at| at.parse().ok())
                    .expect("a time");
                let at = at.with_timezone(&tz).date_naive();
                found.insert((at, 0), row["people"].as_i64().unwrap_or(-1));
                let returned = row["returned"].as_array().expect("a list").iter();
                for (later, people) in (1..).zip(returned) {
                    found.insert((at, later), people.as_i64().unwrap_or(-1));
                }
            }
            found.retain(|_, people| *people != 0);
            let expected: BTreeMap<_, _> = expected
                .into_iter()
                .map(|(key, people)| (key, people.len() as i64))
                .collect();
            prop_assert_eq!(found, expected);
            Ok(())
        },
    );
}

/// What each campaign is owed: conversions, and revenue net of refunds.
fn attributed(
    world: &World<'_>,
    period: &Period,
    model: Model,
    window: Duration,
    half_life: Duration,
) -> BTreeMap<Option<CampaignId>, (f64, i64)> {
    let money = |event: &&Event| event.kind == "goal" || event.amount.is_some();
    let mut seen: Vec<_> = world
        .humans()
        .filter(money)
        .filter(|event| event.occurred_at >= period.from)
        .collect();
    seen.sort_by_key(|event| (event.occurred_at, event.id));
    let mut owed: BTreeMap<Option<CampaignId>, (f64, i64)> = BTreeMap::new();
    for (index, event) in seen.iter().enumerate() {
        if event.occurred_at >= period.to {
            continue;
        }
        let amount = match (&event.order_id, event.amount) {
            (Some(order), Some(amount)) => {
                let same: Vec<_> = seen
                    .iter()
                    .filter(|other| other.order_id.as_ref() == Some(order))
                    .collect();
                let brings = |other: &Event| other.amount.is_some_and(|amount| amount > 0);
                let bought = same.iter().any(|other| brings(other));
                let earlier = seen[..index].iter().any(|other| {
                    other.order_id.as_ref() == Some(order) && brings(other) == (amount > 0)
                });
                if earlier || (amount < 0 && bought) {
                    continue;
                }
                same.iter().filter_map(|other| other.amount).sum()
            }
            (_, amount) => amount.unwrap_or(0),
        };
        let touch = |other: &&Event| {
            ["click", "view"].contains(&other.kind.as_ref())
                && other.campaign_id.is_some()
                && other.visitor.is_some()
                && other.visitor == event.visitor
                && other.occurred_at < period.to
                && other.occurred_at <= event.occurred_at
                && event.occurred_at - other.occurred_at <= window
        };
        let mut touches: Vec<_> = world.humans().filter(touch).collect();
        touches.sort_by_key(|touch| (touch.occurred_at, touch.campaign_id));
        let counts = if amount >= 0 { 1.0 } else { 0.0 };
        if touches.is_empty() {
            let none = owed.entry(None).or_default();
            *none = (none.0 + counts, none.1 + amount);
            continue;
        }
        let times: Vec<_> = touches.iter().map(|touch| touch.occurred_at).collect();
        let shares = attribution::shares(model, half_life, &times, event.occurred_at);
        let parts = attribution::cut(amount, &shares);
        for ((touch, share), part) in touches.iter().zip(shares).zip(parts) {
            let campaign = owed.entry(touch.campaign_id).or_default();
            *campaign = (campaign.0 + share * counts, campaign.1 + part);
        }
    }
    owed
}

#[test]
fn attribution_agrees_with_looking_at_every_conversion() {
    let model = prop::sample::select(vec!["first", "last", "linear", "time_decay", "position"]);
    let input = (
        prop::collection::vec(spec(), 0..60),
        model,
        question(),
        1i64..3,
    );
    on_random(60, input, |app, runtime, (specs, model, question, days)| {
        let world = World::new(app, &specs);
        world.store(&world.events);
        let period = Period::of(&world, question.0, question.1, None);
        let path = format!(
            "attribution?{}&model={model}&window_days={days}&half_life_days=1",
            period.query()
        );
        let answer = runtime.block_on(world.ask(&path));
        let model: Model = serde_json::from_value(model.into()).expect("a model");
        let mut expected = attributed(
            &world,
            &period,
            model,
            Duration::days(days),
            Duration::days(1),
        );
        let same = |credit: &Value, expected: (f64, i64)| {
            let near = (credit["conversions"].as_f64().unwrap_or(-1.0) - expected.0).abs() < 1e-6;
            near && credit["revenue"][0]["amount"].as_i64().unwrap_or(0) == expected.1
        };
        let none = expected.remove(&None).unwrap_or_default();
        prop_assert!(
            same(&answer["unattributed"], none),
            "{:?} in {}",
            none,
            answer
        );
        for campaign in answer["campaigns"].as_array().expect("campaigns") {
            let id: CampaignId =
                serde_json::from_value(campaign["campaign_id"].clone()).expect("an id");
            let owed = expected.remove(&Some(id)).unwrap_or((-1.0, -1));
            prop_assert!(same(campaign, owed), "{:?} in {}", owed, campaign);
        }
        let left = expected.values().any(|owed| owed.0 > 1e-9 || owed.1 != 0);
        prop_assert!(!left, "{:?} is missing in {}", expected, answer);
        Ok(())
    });
}
