//! Requests to URLs that a customer chose: they must not lead into the network of this
//! installation (server-side request forgery).
//!
//! The names are looked up here, and the connection goes to the very addresses that were judged:
//! a name that answers differently a moment later (DNS rebinding) leads nowhere else.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// How long a name may take to be looked up.
const LOOKUP: Duration = Duration::from_secs(5);

/// Which URLs may be followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Also into private networks: for laptops and tests.
    pub private_too: bool,
    /// Also without TLS.
    pub plain_http: bool,
}

/// Why a URL is not followed. The sentences complete "the URL …".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("must begin with https://")]
    NotHttps,
    #[error("must begin with https:// or http://")]
    NotHttp,
    #[error("must not carry a user or a password")]
    Credentials,
    #[error("names no host")]
    NoHost,
    #[error("has a host that cannot be found")]
    Unknown,
    #[error("leads into a private network")]
    Private,
}

/// The addresses of a name, while they are being looked up.
pub type Looking = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

type Lookup = dyn Fn(String) -> Looking + Send + Sync;

/// Judges URLs, and makes the client that follows them.
#[derive(Clone)]
pub struct Guard {
    rules: Rules,
    lookup: Arc<Lookup>,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Guard({:?})", self.rules)
    }
}

impl Guard {
    /// Looks names up as this machine does.
    pub fn new(rules: Rules) -> Self {
        Self::with_lookup(rules, |name| Box::pin(of_this_machine(name)))
    }

    /// Looks names up with `lookup`.
    pub fn with_lookup(
        rules: Rules,
        lookup: impl Fn(String) -> Looking + Send + Sync + 'static,
    ) -> Self {
        Self {
            rules,
            lookup: Arc::new(lookup),
        }
    }

    /// What can be said about a URL without asking anybody. A host that is an address is judged
    /// here, because nobody looks it up later.
    pub fn judge(&self, url: &Url) -> Result<(), Refusal> {
        match url.scheme() {
            "https" => {}
            "http" if self.rules.plain_http => {}
            _ if self.rules.plain_http => return Err(Refusal::NotHttp),
            _ => return Err(Refusal::NotHttps),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refusal::Credentials);
        }
        let address = match url.host().ok_or(Refusal::NoHost)? {
            Host::Domain(_) => return Ok(()),
            Host::Ipv4(address) => IpAddr::V4(address),
            Host::Ipv6(address) => IpAddr::V6(address),
        };
        match self.rules.private_too || is_public(address) {
            true => Ok(()),
            false => Err(Refusal::Private),
        }
    }

    /// The same, and its name is looked up.
    pub async fn check(&self, url: &Url) -> Result<(), Refusal> {
        self.judge(url)?;
        match url.host() {
            Some(Host::Domain(name)) => self.addresses(name.to_owned()).await.map(|_| ()),
            _ => Ok(()),
        }
    }

    /// The addresses of `name` that may be connected to; never none.
    async fn addresses(&self, name: String) -> Result<Vec<IpAddr>, Refusal> {
        let found = match tokio::time::timeout(LOOKUP, (self.lookup)(name)).await {
            Ok(Ok(found)) if !found.is_empty() => found,
            _ => return Err(Refusal::Unknown),
        };
        let usable: Vec<IpAddr> = found
            .into_iter()
            .filter(|address| self.rules.private_too || is_public(*address))
            .collect();
        match usable.is_empty() {
            true => Err(Refusal::Private),
            false => Ok(usable),
        }
    }

    /// A client that connects only where this guard allows it and follows no redirect. Call
    /// [`Guard::judge`] before each request: a host that is an address is looked up by nobody.
    pub fn client(&self, deadline: Duration, agent: &str) -> reqwest::Client {
        reqwest::Client::builder()
            .dns_resolver(self.clone())
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .no_gzip()
            .tcp_nodelay(true)
            .timeout(deadline)
            .connect_timeout(deadline)
            .pool_max_idle_per_host(2)
            .pool_idle_timeout(Duration::from_secs(30))
            .user_agent(agent)
            .build()
            .expect("the client's settings are good")
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let (guard, name) = (self.clone(), name.as_str().to_owned());
        Box::pin(async move {
            let addresses = guard.addresses(name).await?;
            let sockets = addresses
                .into_iter()
                .map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(sockets) as Addrs)
        })
    }
}

async fn of_this_machine(name: String) -> io::Result<Vec<IpAddr>> {
    let found = tokio::net::lookup_host((name, 0)).await?;
    Ok(found.map(|socket| socket.ip()).collect())
}

/// Whether an address is out in the Internet: not loopback, private, link-local, shared,
/// multicast or reserved (RFC 6890), nor an IPv6 one that stands for such an IPv4 address.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            !(v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_multicast()
                || v4.is_documentation()
                || a == 0
                || a >= 240
                || (a == 100 && (64..128).contains(&b))
                || (a == 198 && (18..20).contains(&b))
                || (a == 192 && b == 0 && c == 0))
        }
        IpAddr::V6(v6) => match v6.to_ipv4() {
            Some(v4) => is_public(v4.into()),
            None => {
                let [first, second, ..] = v6.segments();
                // Global unicast without 6to4, Teredo and what is for documentation.
                (0x2000..0x4000).contains(&first)
                    && first != 0x2002
                    && first != 0x3fff
                    && !(first == 0x2001 && (second == 0 || second == 0xdb8))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect("a URL")
    }

    fn answering(first: &'static str, later: &'static str) -> (Guard, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let rules = Rules {
            private_too: false,
            plain_http: true,
        };
        let guard = Guard::with_lookup(rules, move |_| {
            let text = match count.fetch_add(1, Ordering::SeqCst) {
                0 => first,
                _ => later,
            };
            Box::pin(async move { Ok(vec![text.parse().expect("an address")]) })
        });
        (guard, asked)
    }

    #[test]
    fn private_addresses_are_not_public() {
        for text in [
            "127.0.0.1",
            "127.255.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "169.254.169.254",
            "192.168.0.1",
            "192.0.0.8",
            "192.0.2.1",
            "198.18.0.1",
            "0.0.0.0",
            "100.64.0.1",
            "100.100.100.200",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "fd00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
        ] {
            assert!(!is_public(text.parse().expect("an address")), "{text}");
        }
        for text in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111"] {
            assert!(is_public(text.parse().expect("an address")), "{text}");
        }
    }

    #[test]
    fn a_url_is_judged_by_itself() {
        let strict = Guard::new(Rules::default());
        for (text, refusal) in [
            ("http://shop.example/", Refusal::NotHttps),
            ("ftp://shop.example/", Refusal::NotHttps),
            ("https://ada:x@shop.example/", Refusal::Credentials),
            ("https://ada@shop.example/", Refusal::Credentials),
            ("https://127.0.0.1/", Refusal::Private),
            // Other ways to write 127.0.0.1 (WHATWG URL, "IPv4 parser").
            ("https://2130706433/", Refusal::Private),
            ("https://0x7f.1/", Refusal::Private),
            ("https://[::ffff:127.0.0.1]/", Refusal::Private),
            ("https://[fd00::1]:8443/", Refusal::Private),
        ] {
            assert_eq!(strict.judge(&url(text)), Err(refusal), "{text}");
        }
        assert_eq!(strict.judge(&url("https://shop.example/hook")), Ok(()));
        let (lax, _) = answering("8.8.8.8", "8.8.8.8");
        assert_eq!(lax.judge(&url("http://shop.example/")), Ok(()));
        let refused = lax.judge(&url("file:///etc/passwd"));
        assert_eq!(refused, Err(Refusal::NotHttp));
    }

    #[tokio::test]
    async fn a_name_is_looked_up_and_its_addresses_are_judged() {
        let (inside, _) = answering("10.0.0.7", "10.0.0.7");
        let shop = url("http://shop.example/");
        assert_eq!(inside.check(&shop).await, Err(Refusal::Private));
        let nowhere = Guard::with_lookup(Rules::default(), |_| Box::pin(async { Ok(vec![]) }));
        let shop = url("https://shop.example/");
        assert_eq!(nowhere.check(&shop).await, Err(Refusal::Unknown));
    }

    #[tokio::test]
    async fn a_name_that_turns_private_after_the_check_is_not_connected_to() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        let port = listener.local_addr().expect("bound").port();
        let (guard, asked) = answering("8.8.8.8", "127.0.0.1");
        let shop = url(&format!("http://shop.example:{port}/"));
        assert_eq!(guard.check(&shop).await, Ok(()));
        let client = guard.client(Duration::from_secs(5), "test");
        let error = client.post(shop).send().await.expect_err("it is refused");
        assert!(format!("{error:?}").contains("Private"), "{error:?}");
        assert_eq!(asked.load(Ordering::SeqCst), 2);
        let nobody = listener.accept().expect_err("nobody came");
        assert_eq!(nobody.kind(), io::ErrorKind::WouldBlock);
    }
}
