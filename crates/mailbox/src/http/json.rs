use actix_web::{
    Error, HttpResponse,
    web::{Data, Json, Path, Query, block},
};
use uuid::Uuid;

use super::problem;
use crate::{Faults, Filter, Handle, Listing, Mail, Stats};

/// `GET /mailbox/messages.json`
pub(super) async fn list(
    handle: Data<Handle>,
    filter: Query<Filter>,
) -> Result<Json<Listing>, Error> {
    find(&handle, filter.into_inner()).await.map(Json)
}

/// Searches off the event loop: a large mailbox takes a while to look through.
pub(super) async fn find(handle: &Handle, filter: Filter) -> Result<Listing, Error> {
    let store = handle.store.clone();
    let found = block(move || store.list(&filter))
        .await
        .map_err(|error| problem::broken(&error))?;
    found.map_err(|_| problem::bad(&"`cursor` is not one that this mailbox gave"))
}

/// `GET /mailbox/messages/{id}.json`
pub(super) async fn show(handle: Data<Handle>, id: Path<Uuid>) -> Result<Json<Mail>, Error> {
    open(&handle, id.into_inner()).await.map(Json)
}

/// A message opened, or a 404.
pub(super) async fn open(handle: &Handle, id: Uuid) -> Result<Mail, Error> {
    let handle = handle.clone();
    let read = block(move || handle.mail(id))
        .await
        .map_err(|error| problem::broken(&error))?;
    read.map_err(|error| problem::broken(&error))?
        .ok_or_else(problem::unknown_mail)
}

/// `DELETE /mailbox/messages`
pub(super) async fn clear(handle: Data<Handle>) -> Result<HttpResponse, Error> {
    let cleared = handle.store.clear().await;
    cleared.map_err(|_| problem::broken(&"the messages could not be removed"))?;
    Ok(HttpResponse::NoContent().finish())
}

/// `GET /mailbox/stats.json`
pub(super) async fn stats(handle: Data<Handle>) -> Json<Stats> {
    Json(handle.stats())
}

/// `GET /mailbox/faults`
pub(super) async fn faults(handle: Data<Handle>) -> Json<Faults> {
    Json(handle.faults())
}

/// `PUT /mailbox/faults`
pub(super) async fn set_faults(
    handle: Data<Handle>,
    faults: Json<Faults>,
) -> Result<Json<Faults>, Error> {
    let faults = faults.into_inner();
    if let Some(complaint) = faults.complaint() {
        return Err(problem::bad(&complaint));
    }
    handle.set_faults(faults.clone());
    Ok(Json(faults))
}
