//! An authority inside an installation, and certificates that it signs.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Signs certificates. Its own is in a file, which goes with it.
#[derive(Debug)]
pub struct Authority {
    folder: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages.push(KeyUsagePurpose::KeyCertSign);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).expect("written");
        Self { folder, issuer }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// The same as a setting says it.
    pub fn file(&self) -> String {
        self.path().display().to_string()
    }

    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate for these names and addresses.
    pub fn certificate(&self, names: &[&str]) -> Certificate {
        Certificate::new(self, names, false)
    }

    /// One that was good for a year, long ago.
    pub fn expired(&self, names: &[&str]) -> Certificate {
        Certificate::new(self, names, true)
    }

    /// A client that believes this authority alone, as services do.
    pub fn client(&self) -> reqwest::Client {
        let authority = chassis::tls::Authority::open(self.path()).expect("its own file");
        chassis::client::inside(Some(&authority)).expect("a client")
    }
}

/// A certificate and its key, in two files, which go with it.
#[derive(Debug)]
pub struct Certificate(TempDir);

impl Certificate {
    fn new(authority: &Authority, names: &[&str], expired: bool) -> Self {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        if expired {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        }
        let key = KeyPair::generate().expect("a key");
        let signed = params.signed_by(&key, &authority.issuer).expect("signed");
        let it = Self(tempfile::tempdir().expect("a folder"));
        std::fs::write(it.certificate(), signed.pem()).expect("written");
        std::fs::write(it.key(), key.serialize_pem()).expect("written");
        it
    }

    /// Where the certificate is, as a setting says it.
    pub fn certificate(&self) -> String {
        self.file("certificate.pem")
    }

    /// Where its key is, as a setting says it.
    pub fn key(&self) -> String {
        self.file("key.pem")
    }

    fn file(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    /// Puts another one in its place.
    pub fn becomes(&self, other: &Self) {
        std::fs::copy(other.certificate(), self.certificate()).expect("copied");
        std::fs::copy(other.key(), self.key()).expect("copied");
    }

    /// Speaks TLS with it before a server that does not; answers where.
    pub async fn before(&self, server: SocketAddr) -> SocketAddr {
        let chain = CertificateDer::pem_file_iter(self.certificate()).expect("a file");
        let chain = chain.collect::<Result<_, _>>().expect("a certificate");
        let key = PrivateKeyDer::from_pem_file(self.key()).expect("a key");
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("they belong together");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    // Whoever does not agree gets nothing.
                    let Ok(mut stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let mut behind = TcpStream::connect(server).await.expect("it listens");
                    tokio::io::copy_bidirectional(&mut stream, &mut behind)
                        .await
                        .ok();
                });
            }
        });
        address
    }
}
