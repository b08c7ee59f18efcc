//! TLS, when the operator gives a certificate. Its files are read again when they change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use arc_swap::ArcSwap;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_util::sync::CancellationToken;

/// How often the files are looked at.
const EVERY: Duration = Duration::from_secs(1);

/// Where a certificate with its chain and its key are, as PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

#[derive(Debug)]
pub(crate) struct Tls {
    files: TlsFiles,
    config: ArcSwap<ServerConfig>,
}

impl Tls {
    pub(crate) fn open(files: TlsFiles) -> anyhow::Result<Self> {
        let config = ArcSwap::new(read(&files)?);
        Ok(Self { files, config })
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.load_full())
    }

    /// Takes new files as they come, until `stop`. Files that cannot be used change nothing.
    pub(crate) async fn watch(self: Arc<Self>, stop: CancellationToken) {
        let mut known = self.stamps();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
            let now = self.stamps();
            if now == known {
                continue;
            }
            match read(&self.files) {
                Ok(config) => {
                    known = now;
                    self.config.store(config);
                    tracing::info!("a new certificate");
                }
                // One file may be there before the other.
                Err(error) => tracing::warn!(
                    error = format!("{error:#}"),
                    "the new certificate cannot be used yet"
                ),
            }
        }
    }

    fn stamps(&self) -> [Option<SystemTime>; 2] {
        let stamp = |path: &Path| std::fs::metadata(path).ok()?.modified().ok();
        [stamp(&self.files.certificate), stamp(&self.files.key)]
    }
}

fn read(files: &TlsFiles) -> anyhow::Result<Arc<ServerConfig>> {
    let place = |name: &str, path: &Path| format!("{name}: {}", path.display());
    let at = || place("GATEWAY_TLS_CERTIFICATE", &files.certificate);
    let chain: Vec<_> = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect)
        .with_context(at)?;
    anyhow::ensure!(!chain.is_empty(), "{} holds no certificate", at());
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .with_context(|| place("GATEWAY_TLS_KEY", &files.key))?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .context("GATEWAY_TLS_CERTIFICATE and GATEWAY_TLS_KEY do not belong together")?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
