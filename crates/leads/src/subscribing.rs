//! How people come onto lists by themselves: somebody sends a form, and whoever has the address
//! confirms it. Nobody is told whether an address is known.

use std::net::IpAddr;

use chassis::{jobs, outbox};
use chrono::{DateTime, TimeDelta, Utc};
use common::events::{LeadCreated, LeadSubscribed, LeadUpdated};
use common::json::Stored;
use common::{LeadId, ListId, SubmissionId, WorkspaceId};
use diesel::{PgConnection, QueryResult};
use serde_json::{Map, Value};

use crate::domain::form::{Answers, Given, Part};
use crate::domain::lead;
use crate::mails::Confirm;
use crate::store::consents::{self, Consent};
use crate::store::forms::{self, Form};
use crate::store::leads::{self, Lead};
use crate::store::submissions::{self, Submission};
use crate::store::{lists, members, suppressions};

/// The same address in the same form again this soon is passed over: a mail is on its way.
const AGAIN_S: i64 = 60;
/// So many forms a day are heeded for one address: nobody's mailbox is filled by us.
const A_DAY: i64 = 10;

/// What somebody agreed to, and what it came to.
#[derive(Clone, Debug)]
pub(crate) enum Confirmed {
    Done(Submission),
    /// It was confirmed before; nothing happens a second time.
    Before(Submission),
    /// The person, or what they sent, is gone.
    Nobody,
}

/// Takes what somebody sent. Who complained, or whom no mail reaches, stays suppressed.
pub(crate) fn take(
    conn: &mut PgConnection,
    form: &Form,
    given: Given,
    from: Option<IpAddr>,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let workspace = form.workspace_id;
    let held = suppressions::find(conn, workspace, &given.email.key())?;
    let mut asks = form.double_opt_in || held.is_some();
    if held.is_some_and(|held| held.reason != "unsubscribe") {
        tracing::info!(form.id = %form.id, "a form was sent with an address that stays suppressed");
        return Ok(());
    }
    let list_ids = existing(conn, workspace, &form.list_ids)?;
    let (lead, is_new) = somebody(conn, form, &given, asks, now)?;
    if !is_new && too_often(conn, form, lead.id, now)? {
        return Ok(());
    }
    let standing = members::of_lead(conn, workspace, lead.id)?;
    let of_list = |id: &ListId| standing.iter().find(|(member, _)| member.list_id == *id);
    asks |= list_ids
        .iter()
        .filter_map(of_list)
        .any(|(member, _)| member.status == "unsubscribed");
    let submission = Submission {
        workspace_id: workspace,
        id: SubmissionId::new(),
        form_id: form.id,
        lead_id: lead.id,
        list_ids,
        answers: Stored(given.answers),
        wording: form.wording.clone(),
        anonymous_id: given.anonymous_id,
        sent_from: from.map(|address| address.to_string()),
        submitted_at: now,
        confirmed_from: None,
        confirmed_at: None,
    };
    submissions::insert(conn, &submission)?;
    if !asks {
        let known = if is_new { Known::New } else { Known::Unproven };
        return settle(conn, &submission, lead, known, from, now);
    }
    let actor = actor(&submission);
    let consent = consent(&submission, &actor, "form", now);
    for list in submission
        .list_ids
        .iter()
        .filter(|id| of_list(id).is_none())
    {
        members::set(conn, workspace, *list, "unconfirmed", &consent)?;
    }
    jobs::enqueue(conn, &Confirm::of(workspace, submission.id), now)
}

/// Confirms what was sent, once.
pub(crate) fn confirm(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    id: SubmissionId,
    from: Option<IpAddr>,
    now: DateTime<Utc>,
) -> QueryResult<Confirmed> {
    let Some(mut submission) = submissions::lock(conn, workspace, id)? else {
        return Ok(Confirmed::Nobody);
    };
    if submission.confirmed_at.is_some() {
        return Ok(Confirmed::Before(submission));
    }
    submission.list_ids = existing(conn, workspace, &submission.list_ids)?;
    let Some(lead) = leads::lock(conn, workspace, submission.lead_id)? else {
        return Ok(Confirmed::Nobody);
    };
    settle(conn, &submission, lead, Known::Proven, from, now)?;
    Ok(Confirmed::Done(submission))
}

/// How far whoever answered is the person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// Nothing else is known of them.
    New,
    /// A mail to the address reached them.
    Proven,
    /// They may be anybody.
    Unproven,
}

/// Puts the person on the lists. The lead must be locked.
fn settle(
    conn: &mut PgConnection,
    submission: &Submission,
    lead: Lead,
    known: Known,
    from: Option<IpAddr>,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let workspace = submission.workspace_id;
    let method = match known {
        Known::Proven => "double_opt_in",
        Known::New | Known::Unproven => "form",
    };
    let actor = actor(submission);
    let consent = consent(submission, &actor, method, now);
    for list in &submission.list_ids {
        // Who is on it already has agreed anew, in these words.
        if !members::set(conn, workspace, *list, "confirmed", &consent)? {
            consents::record(conn, workspace, Some(*list), "confirmed", &consent)?;
        }
    }
    // Also where their lists are gone.
    leads::agreed(conn, workspace, lead.id)?;
    if suppressions::lift(conn, workspace, &lead.email_key, Some("unsubscribe"))? {
        consents::record(conn, workspace, None, "resubscribed", &consent)?;
    }
    let from = from.map(|address| address.to_string());
    submissions::confirm(conn, submission, from.as_deref(), now)?;
    let form = forms::find(conn, workspace, submission.form_id)?;
    let event = LeadSubscribed {
        lead_id: lead.id,
        email: lead.email.clone(),
        list_ids: submission.list_ids.clone(),
        form_id: submission.form_id,
        form: form.map(|form| form.name).unwrap_or_default(),
        anonymous_id: submission.anonymous_id.clone(),
        at: now,
    };
    if known != Known::New {
        learn(conn, lead, &submission.answers.0, known, now)?;
    }
    outbox::push(conn, workspace, &event)
}

/// Lays the answers over a person who was known before.
fn learn(
    conn: &mut PgConnection,
    held: Lead,
    answers: &Answers,
    known: Known,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let mut lead = held.clone();
    lay(&mut lead, answers, known);
    if lead == held {
        return Ok(());
    }
    lead.version += 1;
    lead.updated_at = now;
    leads::update(conn, &lead)?;
    let (lead_id, email) = (lead.id, lead.email);
    outbox::push(conn, lead.workspace_id, &LeadUpdated { lead_id, email })
}

/// What somebody answers who may be anybody fills what is empty, and changes nothing.
fn lay(lead: &mut Lead, answers: &Answers, known: Known) {
    let over = known != Known::Unproven;
    let mut attributes = match &lead.attributes {
        Value::Object(held) => held.clone(),
        _ => Map::new(),
    };
    for (field, answer) in answers {
        let place = match Part::of(field) {
            Some(Part::FirstName) => &mut lead.first_name,
            Some(Part::LastName) => &mut lead.last_name,
            Some(Part::Phone) => &mut lead.phone,
            Some(Part::Company) => &mut lead.company,
            Some(Part::Attribute(name)) => {
                if over || !attributes.contains_key(name) {
                    attributes.insert(name.to_owned(), Value::String(answer.clone()));
                }
                continue;
            }
            None => continue,
        };
        if over || place.is_none() {
            *place = Some(answer.clone());
        }
    }
    match lead::check_attributes(&attributes) {
        Ok(()) => lead.attributes = Value::Object(attributes),
        Err(why) => tracing::warn!(lead.id = %lead.id, why, "attributes of a form were not kept"),
    }
}

/// The person with this address, locked, and whether they are new. For whoever was known, it stays
/// as it is who speaks for them: anybody may send a form.
fn somebody(
    conn: &mut PgConnection,
    form: &Form,
    given: &Given,
    unconfirmed: bool,
    now: DateTime<Utc>,
) -> QueryResult<(Lead, bool)> {
    let workspace = form.workspace_id;
    let mut lead = Lead {
        email: given.email.to_string(),
        email_key: given.email.key(),
        source: Some(form.name.clone()),
        unconfirmed,
        ..Lead::blank(workspace, now)
    };
    lay(&mut lead, &given.answers, Known::New);
    if leads::insert_unknown(conn, &lead)? {
        let (lead_id, email) = (lead.id, lead.email.clone());
        outbox::push(conn, workspace, &LeadCreated { lead_id, email })?;
        return Ok((lead, true));
    }
    let known = leads::lock_by_key(conn, workspace, &lead.email_key)?;
    Ok((known, false))
}

/// Those lists of a form that exist, held against deletion.
fn existing(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    ids: &[ListId],
) -> QueryResult<Vec<ListId>> {
    let mut found = Vec::new();
    for id in ids {
        found.extend(lists::keep(conn, workspace, *id)?);
    }
    Ok(found)
}

fn too_often(
    conn: &mut PgConnection,
    form: &Form,
    lead: LeadId,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    let last = submissions::last(conn, form.workspace_id, lead, form.id)?;
    if last.is_some_and(|at| now - at < TimeDelta::seconds(AGAIN_S)) {
        return Ok(true);
    }
    let yesterday = now - TimeDelta::days(1);
    Ok(submissions::since(conn, form.workspace_id, lead, yesterday)? >= A_DAY)
}

fn actor(submission: &Submission) -> String {
    format!("lead, by the form {}", submission.form_id)
}

fn consent<'a>(
    submission: &'a Submission,
    actor: &'a str,
    method: &'a str,
    at: DateTime<Utc>,
) -> Consent<'a> {
    Consent {
        lead: submission.lead_id,
        at,
        actor,
        method,
        wording: Some(&submission.wording),
    }
}
