//! `POST /internal/leads/by-email`: whose addresses these are, for analytics.

use actix_web::web::Data;
use chassis::InvalidInput;
use chassis::auth::ServiceCaller;
use chassis::http::Json;
use common::dto::people::{LeadFound, LeadsByEmail, LeadsFound};

use crate::error::Error;
use crate::state::State;
use crate::store::leads;

/// Most addresses of one question.
const MAX: usize = 500;

pub(crate) async fn by_email(
    state: Data<State>,
    _caller: ServiceCaller,
    query: Json<LeadsByEmail>,
) -> Result<Json<LeadsFound>, Error> {
    let LeadsByEmail {
        workspace_id,
        emails,
    } = query.into_inner();
    if emails.len() > MAX {
        let detail = format!("must hold at most {MAX} addresses");
        return Err(InvalidInput::field("/emails", detail).into());
    }
    let found = state
        .host
        .db
        .run(move |conn| {
            let keys: Vec<_> = emails
                .iter()
                .map(|email| email.trim().to_lowercase())
                .collect();
            let known = leads::by_keys(conn, workspace_id, &keys)?;
            let of = |key: &str| known.iter().find(|(_, known)| known == key);
            let found = emails.into_iter().zip(&keys).filter_map(|(email, key)| {
                let lead_id = of(key)?.0;
                Some(LeadFound { email, lead_id })
            });
            Ok::<_, Error>(found.collect())
        })
        .await?;
    Ok(Json(LeadsFound { items: found }))
}
