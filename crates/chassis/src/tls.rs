//! TLS between the services: the certificate that one of them shows, and the authority that all of
//! them believe. Both are files, which are read again when they change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use arc_swap::ArcSwap;
use common::auth::Service;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::client::{ClientConnection, Resumption};
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, ServerConfig,
    SignatureScheme,
};
use tokio_util::sync::CancellationToken;

use crate::settings::Reader;

/// The setting that names the file of [`Authority`].
pub const AUTHORITY: &str = "CLARION_TLS_CA";
/// How often files are looked at.
const EVERY: Duration = Duration::from_secs(1);

/// Where a certificate with its chain and its key are, as PEM, and the settings that say so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    names: [String; 2],
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    /// `<SERVICE>_TLS_CERTIFICATE` and `<SERVICE>_TLS_KEY`: both, or neither.
    pub fn read(read: &mut Reader<'_>, service: Service) -> Option<Self> {
        let name = service.as_str().to_uppercase();
        let names = [format!("{name}_TLS_CERTIFICATE"), format!("{name}_TLS_KEY")];
        match [read.optional(&names[0]), read.optional(&names[1])] {
            [Some(certificate), Some(key)] => Some(Self {
                names,
                certificate,
                key,
            }),
            [None, None] => None,
            [Some(_), None] => {
                read.refuse(&names[1], format!("is needed with {}", names[0]));
                None
            }
            [None, Some(_)] => {
                read.refuse(&names[0], format!("is needed with {}", names[1]));
                None
            }
        }
    }

    fn chain(&self) -> anyhow::Result<Vec<CertificateDer<'static>>> {
        certificates(&self.names[0], &self.certificate)
    }

    fn open(&self) -> anyhow::Result<Arc<CertifiedKey>> {
        let chain = self.chain()?;
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .with_context(|| place(&self.names[1], &self.key))?;
        let key = CertifiedKey::from_der(chain, key, &provider());
        key.map(Arc::new).with_context(|| {
            let [certificate, key] = &self.names;
            format!("{certificate} and {key} do not belong together")
        })
    }
}

fn place(name: &str, path: &Path) -> String {
    format!("{name}: {}", path.display())
}

/// The certificates in a file; there is one at least.
fn certificates(name: &str, path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let found: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .with_context(|| place(name, path))?;
    anyhow::ensure!(
        !found.is_empty(),
        "{} holds no certificate",
        place(name, path)
    );
    Ok(found)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// The certificate that a server shows.
#[derive(Debug)]
pub struct Certificate {
    files: Files,
    shown: ArcSwap<CertifiedKey>,
}

impl Certificate {
    /// Reads the files; what is wrong with them is said with the setting's name.
    pub fn open(files: Files) -> anyhow::Result<Arc<Self>> {
        let shown = ArcSwap::new(files.open()?);
        Ok(Arc::new(Self { files, shown }))
    }

    /// A server that shows it, from TLS 1.2 on.
    pub fn server(self: &Arc<Self>) -> anyhow::Result<ServerConfig> {
        Ok(ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>))
    }

    /// The same for other services, which begin each connection anew (see [`Authority::client`]).
    pub fn server_inside(self: &Arc<Self>) -> anyhow::Result<ServerConfig> {
        let mut config = self.server()?;
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(config)
    }

    /// Takes new files as they come, until `stop`. Files that cannot be used change nothing.
    pub async fn watch(self: Arc<Self>, stop: CancellationToken) {
        let paths = [&self.files.certificate, &self.files.key].map(PathBuf::as_path);
        let take = || {
            self.shown.store(self.files.open()?);
            Ok(())
        };
        watch(&paths, stop, "certificate", take).await;
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.shown.load_full())
    }
}

/// Whom services believe inside: the authorities of one file, and nobody else in the world. A
/// certificate that signed itself is its own authority.
#[derive(Debug)]
pub struct Authority {
    path: PathBuf,
    verifier: ArcSwap<WebPkiServerVerifier>,
}

impl Authority {
    /// Reads the file that `CLARION_TLS_CA` names.
    pub fn open(path: PathBuf) -> anyhow::Result<Arc<Self>> {
        let verifier = ArcSwap::new(believing(&path)?);
        Ok(Arc::new(Self { path, verifier }))
    }

    /// The file as it is now, for those who read it themselves.
    pub(crate) fn read(&self) -> std::io::Result<Vec<u8>> {
        std::fs::read(&self.path)
    }

    /// A client that believes it, from TLS 1.2 on. It keeps no tickets: each connection is looked
    /// at, and a certificate that ran out does not live on in a session.
    pub fn client(self: &Arc<Self>) -> anyhow::Result<ClientConfig> {
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            // Nothing is left out: it asks the usual verifier of the file as it is now.
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(self) as Arc<dyn ServerCertVerifier>)
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        Ok(config)
    }

    /// Takes a new file as it comes, until `stop`. One that cannot be used changes nothing.
    pub async fn watch(self: Arc<Self>, stop: CancellationToken) {
        let take = || {
            self.verifier.store(believing(&self.path)?);
            Ok(())
        };
        watch(&[&self.path], stop, "authority", take).await;
    }
}

fn believing(path: &Path) -> anyhow::Result<Arc<WebPkiServerVerifier>> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(AUTHORITY, path)? {
        let added = roots.add(certificate);
        added.with_context(|| place(AUTHORITY, path))?;
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider());
    verifier.build().with_context(|| place(AUTHORITY, path))
}

impl ServerCertVerifier for Authority {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verifier = self.verifier.load();
        verifier.verify_server_cert(end_entity, intermediates, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verifier = self.verifier.load();
        verifier.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verifier = self.verifier.load();
        verifier.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.load().supported_verify_schemes()
    }
}

/// Calls `take` when one of the files is another one than before, until `stop`.
async fn watch(
    paths: &[&Path],
    stop: CancellationToken,
    what: &str,
    take: impl Fn() -> anyhow::Result<()>,
) {
    let stamps = || -> Vec<Option<SystemTime>> {
        let stamp = |path: &&Path| std::fs::metadata(path).ok()?.modified().ok();
        paths.iter().map(stamp).collect()
    };
    let mut known = stamps();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        let now = stamps();
        if now == known {
            continue;
        }
        match take() {
            Ok(()) => {
                known = now;
                tracing::info!("a new {what}");
            }
            // One file may be there before the other.
            Err(error) => tracing::warn!(
                error = format!("{error:#}"),
                "the new {what} cannot be used yet"
            ),
        }
    }
}

/// A connection to a server on this machine that shows exactly the certificate in `files`, whatever
/// its name is: how a program asks itself.
pub(crate) fn to_oneself(files: &Files) -> anyhow::Result<ClientConnection> {
    let certificate = files.chain()?.swap_remove(0);
    let own = Arc::new(Own(certificate, provider()));
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(own)
        .with_no_client_auth();
    let here = ServerName::from(std::net::IpAddr::from([127, 0, 0, 1]));
    Ok(ClientConnection::new(Arc::new(config), here)?)
}

/// Believes one certificate.
#[derive(Debug)]
struct Own(CertificateDer<'static>, Arc<CryptoProvider>);

impl ServerCertVerifier for Own {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match *end_entity == self.0 {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.1.signature_verification_algorithms;
        tokio_rustls::rustls::crypto::verify_tls12_signature(message, certificate, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.1.signature_verification_algorithms;
        tokio_rustls::rustls::crypto::verify_tls13_signature(message, certificate, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.1.signature_verification_algorithms.supported_schemes()
    }
}
