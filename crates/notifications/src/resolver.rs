//! Questions to the DNS.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};
use url::Url;

use crate::domain::dns::Kind;

/// How long one name server has for one answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Looks records up. Answers are not kept: who just changed a record wants to see it.
#[derive(Clone)]
pub(crate) struct Dns {
    resolver: TokioResolver,
    /// The host of this installation.
    pub(crate) host: String,
}

impl std::fmt::Debug for Dns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Dns")
    }
}

/// No name server gave an answer.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the name servers gave no answer: {0}")]
pub(crate) struct NoAnswer(String);

impl Dns {
    /// Asks `server`, or those of the system.
    pub(crate) fn new(server: Option<SocketAddr>, public: &Url) -> anyhow::Result<Self> {
        let provider = TokioRuntimeProvider::default();
        let mut builder = match server {
            Some(server) => TokioResolver::builder_with_config(only(server), provider),
            None => match TokioResolver::builder(provider.clone()) {
                Ok(builder) => builder,
                Err(error) => {
                    tracing::warn!(%error, "the system names no name server: domains cannot be checked");
                    TokioResolver::builder_with_config(ResolverConfig::default(), provider)
                }
            },
        };
        let options = builder.options_mut();
        options.cache_size = 0;
        options.timeout = PATIENCE;
        options.attempts = 2;
        Ok(Self {
            resolver: builder.build().context("the resolver cannot be made")?,
            host: public.host_str().unwrap_or_default().to_owned(),
        })
    }

    /// The texts of all records of a name, of one kind.
    pub(crate) async fn look_up(&self, name: &str, kind: Kind) -> Result<Vec<String>, NoAnswer> {
        let kind = match kind {
            Kind::Txt => RecordType::TXT,
            Kind::Mx => RecordType::MX,
        };
        // With a dot at its end it is looked up as it is.
        match self.resolver.lookup(format!("{name}."), kind).await {
            Ok(found) => Ok(found
                .answers()
                .iter()
                .filter_map(|record| text(&record.data))
                .collect()),
            Err(error) if error.is_no_records_found() => Ok(Vec::new()),
            Err(error) => Err(NoAnswer(error.to_string())),
        }
    }
}

fn only(server: SocketAddr) -> ResolverConfig {
    let (mut udp, mut tcp) = (ConnectionConfig::udp(), ConnectionConfig::tcp());
    udp.port = server.port();
    tcp.port = server.port();
    let server = NameServerConfig::new(server.ip(), true, vec![udp, tcp]);
    ResolverConfig::from_name_servers(vec![server])
}

/// A long text is published in parts, which count as one (RFC 7208 §3.3).
fn text(data: &RData) -> Option<String> {
    match data {
        RData::TXT(txt) => Some(String::from_utf8_lossy(&txt.txt_data.concat()).into_owned()),
        RData::MX(mx) => {
            let exchange = mx.exchange.to_ascii();
            let exchange = exchange.trim_end_matches('.').to_lowercase();
            Some(format!("{} {exchange}", mx.preference))
        }
        _ => None,
    }
}
