//! What a worker of the gateway holds. The HTTP client stays on its worker: one that workers share
//! costs a third more CPU and stalls now and then.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use actix_service::ServiceExt;
use actix_tls::connect::{Connection, Connector, Resolver};
use actix_web::http::uri::{Authority, PathAndQuery, Scheme, Uri};
use actix_web::rt::net::TcpStream;
use chassis::Unavailable;
use chassis::auth::Verifier;
use chassis::metrics::Metrics;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::credentials::Exchange;
use crate::error::Error;
use crate::routes::Part;
use crate::wire::Wire;

/// What all workers share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) verifier: Verifier,
    pub(crate) exchange: Exchange,
    pub(crate) metrics: Metrics,
    pub(crate) upstreams: Upstreams,
    pub(crate) public_url: Url,
    pub(crate) cors_origins: Vec<String>,
    pub(crate) timeout: Duration,
    pub(crate) started: Instant,
    /// Set once every part was ready at the same time.
    pub(crate) complete: OnceLock<()>,
    pub(crate) stop: CancellationToken,
}

/// One worker's view.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) shared: Arc<Shared>,
    pub(crate) client: awc::Client,
}

impl Gate {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let client = client();
        Self { shared, client }
    }

    /// Where `part` is asked for `path`.
    pub(crate) fn uri(&self, part: Part, path: &PathAndQuery) -> Result<Uri, Error> {
        let authority = self.shared.upstreams.authority(part)?;
        Uri::builder()
            .scheme(Scheme::HTTP)
            .authority(authority.clone())
            .path_and_query(path.clone())
            .build()
            .map_err(|_| Error::BadPath)
    }
}

/// Where the parts are.
#[derive(Clone, Debug)]
pub(crate) struct Upstreams([Option<Authority>; 6]);

impl Upstreams {
    /// Fails on a URL that is not plain `http://host:port`.
    pub(crate) fn new(urls: [Option<&Url>; 6]) -> anyhow::Result<Self> {
        let mut authorities = [const { None }; 6];
        for ((authority, url), part) in authorities.iter_mut().zip(urls).zip(Part::ALL) {
            *authority = url.map(|url| authority_of(url, part)).transpose()?;
        }
        Ok(Self(authorities))
    }

    fn authority(&self, part: Part) -> Result<&Authority, Error> {
        match &self.0[part as usize] {
            Some(authority) => Ok(authority),
            // A part that this installation does not have leaves no trace.
            None if part == Part::Mailbox => Err(Error::NoRoute),
            None => Err(Unavailable::new(part.name()).into()),
        }
    }

    /// The parts that this installation has.
    pub(crate) fn parts(&self) -> impl Iterator<Item = Part> {
        Part::ALL
            .into_iter()
            .filter(|part| self.0[*part as usize].is_some())
    }
}

fn authority_of(url: &Url, part: Part) -> anyhow::Result<Authority> {
    let key = part.name().to_uppercase();
    anyhow::ensure!(
        url.scheme() == "http" && url.path() == "/",
        "{key}_URL: {url} must be http:// with a host and a port, and no path"
    );
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or(80);
    Ok(format!("{host}:{port}").parse()?)
}

/// A client for this thread: it keeps connections, follows nothing and adds nothing.
fn client() -> awc::Client {
    let connect = Connector::new(Resolver::default()).service();
    let connect = connect.map(|connection: Connection<Uri, TcpStream>| {
        let (stream, uri) = connection.into_parts();
        Connection::new(uri, Wire::new(stream))
    });
    let connector = awc::Connector::new()
        .connector(connect)
        .timeout(Duration::from_secs(2))
        .limit(4096)
        .conn_keep_alive(Duration::from_secs(30))
        .conn_lifetime(Duration::from_secs(600));
    awc::Client::builder()
        .connector(connector)
        .disable_redirects()
        .disable_timeout()
        .no_default_headers()
        .finish()
}
