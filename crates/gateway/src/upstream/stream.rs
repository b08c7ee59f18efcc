//! What a replica is spoken to through: TCP, and TLS over it where its address says so.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

/// Whose certificate a replica must show, and who is believed of it.
#[derive(Clone, Debug)]
pub(crate) struct Secure {
    pub(crate) name: ServerName<'static>,
    pub(crate) config: Arc<ClientConfig>,
}

impl PartialEq for Secure {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && Arc::ptr_eq(&self.config, &other.config)
    }
}

impl Eq for Secure {}

/// The plain one costs a branch, and no memory.
pub(crate) enum Stream {
    Plain(TcpStream),
    /// Boxed: it is ten times as large.
    Secure(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Connects; where TLS is wanted nothing is said without it.
    pub(crate) async fn open(address: SocketAddr, secure: Option<&Secure>) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        // Without it, a body in several writes waits for the other side's delayed ACK.
        stream.set_nodelay(true)?;
        let Some(Secure { name, config }) = secure else {
            return Ok(Self::Plain(stream));
        };
        let connector = TlsConnector::from(Arc::clone(config));
        let stream = connector.connect(name.clone(), stream).await?;
        Ok(Self::Secure(Box::new(stream)))
    }

    /// Whether nothing came that nobody asked for, such as its end. What comes is lost.
    pub(crate) fn is_quiet(&mut self) -> bool {
        let mut nobody = Context::from_waker(Waker::noop());
        match self {
            // This asks the reactor, not the system.
            Self::Plain(stream) => stream.poll_read_ready(&mut nobody).is_pending(),
            // What came may lie in the session already.
            Self::Secure(stream) => {
                let (mut byte, stream) = ([0; 1], Pin::new(stream));
                let mut into = ReadBuf::new(&mut byte);
                stream.poll_read(&mut nobody, &mut into).is_pending()
            }
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, into),
            Self::Secure(stream) => Pin::new(stream).poll_read(cx, into),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Secure(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Secure(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Secure(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
