//! Every path of this service.

use actix_web::web::{Data, ServiceConfig};

use crate::api::{State, engagement, ingest, reports, tracking, visits};

pub fn routes(state: State) -> impl Fn(&mut ServiceConfig) + Clone + Send + 'static {
    let state = Data::new(state);
    move |config| {
        config
            .app_data(state.clone())
            .service(ingest::ingest)
            .service(reports::overview)
            .service(reports::timeseries)
            .service(reports::links)
            .service(tracking::click)
            .service(tracking::open)
            .service(visits::visit)
            .service(engagement::engagement);
    }
}

#[derive(Debug, utoipa::OpenApi)]
#[openapi(paths(
    ingest::ingest,
    reports::overview,
    reports::timeseries,
    reports::links,
    tracking::click,
    tracking::open,
    visits::visit,
))]
pub struct Documentation;
