//! `/api/v1/senders`: the mail server this installation sends through.

use actix_web::web::{self, Data};
use chassis::auth::Caller;
use common::auth::Scope;
use common::page::Page;
use serde::Serialize;

use crate::{AppState, Error};

/// A mail server, without its password.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = notifications::Sender)]
pub(crate) struct SenderView {
    name: &'static str,
    host: String,
    port: u16,
    /// `none`, `opportunistic`, `required` or `implicit`.
    tls: &'static str,
    authenticated: bool,
    connections: usize,
    /// Why it is not used at the moment.
    unreachable: Option<String>,
}

/// `GET /api/v1/senders`
#[utoipa::path(
    get, path = "/api/v1/senders", tag = "notifications", operation_id = "notifications_senders_list",
    responses((status = 200, description = "The configured mail server", body = Page<SenderView>))
)]
#[tracing::instrument(name = "senders.list", skip_all)]
pub(crate) async fn list(
    state: Data<AppState>,
    caller: Caller,
) -> Result<web::Json<Page<SenderView>>, Error> {
    caller.require(Scope::MessagesRead)?;
    let server = &state.sending.server;
    let sender = SenderView {
        name: "default",
        host: server.host.clone(),
        port: server.port,
        tls: server.tls.as_str(),
        authenticated: server.credentials.is_some(),
        connections: state.sending.connections,
        unreachable: state.breaker.reason(),
    };
    Ok(web::Json(Page {
        items: vec![sender],
        next_cursor: None,
    }))
}
