//! The certificate that the SMTP port shows.

use std::path::Path;
use std::sync::Arc;

use chassis::settings::Reader;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

const CERTIFICATE: &str = "BOUNCE_TLS_CERT";
const KEY: &str = "BOUNCE_TLS_KEY";

/// What these settings name: files in PEM, the certificate with those that lead to its root.
pub(crate) fn read(read: &mut Reader<'_>) -> Option<Arc<ServerConfig>> {
    let certificate: Option<String> = read.optional(CERTIFICATE);
    let key: Option<String> = read.optional(KEY);
    match (certificate, key) {
        (Some(certificate), Some(key)) => {
            let config = config(Path::new(&certificate), Path::new(&key));
            config.map_err(|why| read.refuse(CERTIFICATE, why)).ok()
        }
        (Some(_), None) => {
            read.refuse(KEY, "is needed beside BOUNCE_TLS_CERT");
            None
        }
        (None, Some(_)) => {
            read.refuse(CERTIFICATE, "is needed beside BOUNCE_TLS_KEY");
            None
        }
        (None, None) => None,
    }
}

fn config(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, String> {
    let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect);
    let chain: Vec<_> = chain.map_err(|error| format!("cannot be read: {error}"))?;
    let key = PrivateKeyDer::from_pem_file(key);
    let key = key.map_err(|error| format!("has no key: {error}"))?;
    ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(chain, key))
        .map(Arc::new)
        .map_err(|error| format!("cannot be used: {error}"))
}
