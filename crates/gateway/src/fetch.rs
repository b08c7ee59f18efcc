//! What the gateway itself asks of the parts.

use std::time::Duration;

use actix_web::http::uri::PathAndQuery;
use actix_web::http::{Method, StatusCode};
use actix_web::rt::time::timeout;
use bytes::Bytes;

use crate::error::Error;
use crate::gate::Gate;
use crate::routes::Part;

/// Whoever asks is waiting; a part that takes longer is counted as away.
const DEADLINE: Duration = Duration::from_secs(3);
const LARGEST: usize = 8 * 1024 * 1024;

/// `GET path` of `part`: its status and body.
pub(crate) async fn get(
    gate: &Gate,
    part: Part,
    path: &'static str,
) -> Result<(StatusCode, Bytes), Error> {
    let uri = gate.uri(part, &PathAndQuery::from_static(path))?;
    let name = part.name();
    let asking = async {
        let request = gate.client.request(Method::GET, uri).no_decompress();
        let mut answer = request
            .send()
            .await
            .map_err(|error| Error::away(name, error))?;
        let body = answer.body().limit(LARGEST).await;
        let body = body.map_err(|error| Error::broken(name, error))?;
        Ok((answer.status(), body))
    };
    timeout(DEADLINE, asking)
        .await
        .map_err(|_| Error::Late { part: name })?
}
