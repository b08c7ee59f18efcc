//! What only services of this installation call.

use actix_web::web::Data;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use chassis::auth::ServiceCaller;
use chassis::http::Json;
use common::auth::{AuthError, Claims, ScopeSet, Service, Subject};
use common::dto::access::{Credential, IssuedToken, ServiceTokenRequest};

use super::sessions;
use crate::error::Error;
use crate::state::State;
use crate::store::api_keys;
use crate::tokens::{self, ACCESS_S, SERVICE_S};

/// `POST /internal/service-token`: a service proves itself by the installation's secret.
pub(crate) async fn service_token(
    state: Data<State>,
    body: Json<ServiceTokenRequest>,
) -> Result<Json<IssuedToken>, Error> {
    // Hashed first, so that not even the length shows in the time it takes.
    let (given, ours) = (
        tokens::hash(&body.secret),
        tokens::hash(state.service_secret.expose()),
    );
    verify_slices_are_equal(&given, &ours).map_err(|_| Error::WrongServiceSecret)?;
    issue(&state, body.service).map(Json)
}

/// A token of a service; also our own.
pub(crate) fn issue(state: &State, service: Service) -> Result<IssuedToken, Error> {
    let claims = Claims::new(
        Subject::Service(service),
        None,
        None,
        ScopeSet::default(),
        state.now().timestamp(),
        SERVICE_S,
    );
    Ok(IssuedToken {
        access_token: state.keys.sign(&claims)?,
        expires_in: SERVICE_S,
        csrf_token: None,
    })
}

/// `POST /internal/exchange`: the gateway turns a key or a session into an access token.
pub(crate) async fn exchange(
    state: Data<State>,
    service: ServiceCaller,
    body: Json<Credential>,
) -> Result<Json<IssuedToken>, Error> {
    if service.0 != Service::Gateway {
        return Err(AuthError::ServicesOnly.into());
    }
    let issued = match body.into_inner() {
        Credential::ApiKey(key) => from_key(&state, key).await?,
        Credential::Session(cookie) => sessions::issue(&state, &cookie).await?,
    };
    Ok(Json(issued))
}

async fn from_key(state: &State, key: String) -> Result<IssuedToken, Error> {
    let now = state.now();
    let key = state
        .host
        .db
        .run(move |conn| {
            let found = api_keys::by_hash(conn, &tokens::hash(&key))?;
            let key = found
                .filter(|key| !key.has_expired(now))
                .ok_or(Error::CredentialInvalid)?;
            api_keys::touch(conn, key.workspace_id, key.id, now)?;
            Ok::<_, Error>(key)
        })
        .await?;
    let left = key
        .expires_at
        .map_or(ACCESS_S, |at| (at - now).num_seconds());
    let expires_in = left.clamp(1, ACCESS_S);
    let claims = Claims::new(
        Subject::ApiKey(key.id),
        Some(key.workspace_id),
        None,
        key.scope_set(),
        now.timestamp(),
        expires_in,
    );
    Ok(IssuedToken {
        access_token: state.keys.sign(&claims)?,
        expires_in,
        csrf_token: None,
    })
}
