//! `/internal/audience`: what campaigns asks.

use actix_web::web::Data;
use chassis::InvalidInput;
use chassis::auth::ServiceCaller;
use chassis::http::Json;
use common::dto::audience::{
    AudienceCount, AudiencePage, AudiencePageQuery, AudienceQuery, Gap, GapsQuery, Recipient,
    Standing,
};
use common::json::RawJson;
use diesel::PgConnection;

use crate::error::Error;
use crate::state::State;
use crate::store::audience::{self, Found};
use crate::store::lists;
use crate::store::rule_sql::Terms;
use crate::store::segments;

/// Most people in one page.
const MAX_PAGE: i64 = 5_000;
/// Most variables in one question.
const MAX_VARIABLES: usize = 200;

/// What the audience's rules mean at its moment; lists and segments that do not exist are a 404.
fn terms(conn: &mut PgConnection, query: &AudienceQuery) -> Result<Terms, Error> {
    let terms = segments::terms(conn, query.workspace_id, query.as_of)?;
    let named = &query.audience;
    let mut segments = named.segment_ids.iter().chain(&named.exclude_segment_ids);
    if let Some(id) = segments.find(|id| !terms.segments.contains_key(id)) {
        return Err(Error::SegmentNotFound(*id));
    }
    let existing = lists::existing(conn, query.workspace_id, &named.list_ids)?;
    match named.list_ids.iter().find(|id| !existing.contains(id)) {
        Some(id) => Err(Error::ListNotFound(*id)),
        None => Ok(terms),
    }
}

/// `POST /internal/audience/count`
pub(crate) async fn count(
    state: Data<State>,
    _caller: ServiceCaller,
    query: Json<AudienceQuery>,
) -> Result<Json<AudienceCount>, Error> {
    let query = query.into_inner();
    let count = state
        .host
        .db
        .run(move |conn| {
            let terms = terms(conn, &query)?;
            Ok::<_, Error>(audience::count(conn, &terms, &query)?)
        })
        .await?;
    Ok(Json(count))
}

/// `POST /internal/audience/page`
pub(crate) async fn page(
    state: Data<State>,
    _caller: ServiceCaller,
    query: Json<AudiencePageQuery>,
) -> Result<Json<AudiencePage>, Error> {
    let query = query.into_inner();
    if !(1..=MAX_PAGE).contains(&query.limit) {
        let detail = format!("must be between 1 and {MAX_PAGE}");
        return Err(InvalidInput::field("/limit", detail).into());
    }
    let page = state.host.db.run(move |conn| gather(conn, query)).await?;
    Ok(Json(page))
}

/// Looks at candidates until the page is full or nobody is left, so that a page is short only at
/// the end, however many are excluded.
fn gather(conn: &mut PgConnection, asked: AudiencePageQuery) -> Result<AudiencePage, Error> {
    let AudiencePageQuery {
        query,
        mut after,
        limit,
    } = asked;
    let terms = terms(conn, &query)?;
    let (size, mut items) = (limit as usize, Vec::new());
    loop {
        let ids = audience::candidates(conn, &terms, &query, after, limit)?;
        let more = ids.len() == size;
        after = ids.last().copied().or(after);
        let found = audience::among(conn, &terms, &query, &ids)?;
        items.extend(found.into_iter().map(recipient));
        if items.len() > size {
            items.truncate(size);
            let next = items.last().map(|last: &Recipient| last.lead_id);
            return Ok(AudiencePage { items, next });
        }
        if !more || items.len() == size {
            let next = after.filter(|_| more);
            return Ok(AudiencePage { items, next });
        }
    }
}

fn recipient(Found { person, standing }: Found) -> Recipient {
    Recipient {
        lead: RawJson::new(&person).expect("every field has a name"),
        lead_id: person.id,
        standing: match standing.as_str() {
            "suppressed" => Standing::Suppressed,
            "unsubscribed" => Standing::Unsubscribed,
            _ => Standing::Sendable,
        },
        email: person.email,
        timezone: person.timezone,
    }
}

/// `POST /internal/audience/gaps`
pub(crate) async fn gaps(
    state: Data<State>,
    _caller: ServiceCaller,
    query: Json<GapsQuery>,
) -> Result<Json<Vec<Gap>>, Error> {
    let GapsQuery { query, variables } = query.into_inner();
    if variables.len() > MAX_VARIABLES {
        let detail = format!("must be at most {MAX_VARIABLES} names");
        return Err(InvalidInput::field("/variables", detail).into());
    }
    let gaps = state
        .host
        .db
        .run(move |conn| {
            let terms = terms(conn, &query)?;
            Ok::<_, Error>(audience::gaps(conn, &terms, &query, &variables)?)
        })
        .await?;
    Ok(Json(gaps))
}
