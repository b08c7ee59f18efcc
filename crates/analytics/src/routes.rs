//! Every path of this service.

use actix_web::web::{Data, ServiceConfig};

use crate::api::segment::{self, document};
use crate::api::{
    State, answers, engagement, export, goals, ingest, live, reports, shares, snippet, tracking,
    visits, write_keys,
};

pub fn routes(state: State) -> impl Fn(&mut ServiceConfig) + Clone + Send + 'static {
    let state = Data::new(state);
    move |config| {
        config
            .app_data(state.clone())
            .service(ingest::ingest)
            .service(reports::overview)
            .service(reports::timeseries)
            .service(reports::links)
            .service(reports::devices)
            .service(reports::channels)
            .service(answers::funnel)
            .service(answers::retention)
            .service(answers::attribution)
            .service(answers::sessions)
            .service(reports::countries)
            .service(goals::report)
            .service(goals::create)
            .service(goals::read)
            .service(goals::change)
            .service(goals::delete)
            .service(export::export)
            .service(live::live)
            .service(shares::create)
            .service(shares::list)
            .service(shares::delete)
            .service(shares::shared)
            .service(shares::report)
            .service(snippet::snippet)
            .service(tracking::click)
            .service(tracking::open)
            .service(visits::visit)
            .service(write_keys::create)
            .service(write_keys::list)
            .service(write_keys::read)
            .service(write_keys::change)
            .service(write_keys::revoke)
            .service(engagement::engagement)
            .configure(segment::routes);
    }
}

#[derive(Debug, utoipa::OpenApi)]
#[openapi(
    components(schemas(export::Format, reports::Uniques, common::WorkspaceId)),
    paths(
        ingest::ingest,
        reports::overview,
        reports::timeseries,
        reports::links,
        reports::devices,
        reports::channels,
        answers::funnel,
        answers::retention,
        answers::attribution,
        answers::sessions,
        reports::countries,
        goals::report,
        goals::create,
        goals::read,
        goals::change,
        goals::delete,
        export::export,
        live::live,
        shares::create,
        shares::list,
        shares::delete,
        shares::shared,
        shares::report,
        snippet::snippet,
        tracking::click,
        tracking::open,
        visits::visit,
        write_keys::create,
        write_keys::list,
        write_keys::read,
        write_keys::change,
        write_keys::revoke,
        document::identify,
        document::track,
        document::page,
        document::screen,
        document::group,
        document::alias,
        document::batch,
        document::import,
        document::settings,
    )
)]
pub struct Documentation;
