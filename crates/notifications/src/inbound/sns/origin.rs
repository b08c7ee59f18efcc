//! Whose certificates are trusted.

use chassis::outbound::Rules;
use url::Url;

/// Where certificates and confirmations come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// `https://sns.<region>.amazonaws.com`.
    Amazon,
    /// One that speaks SNS in Amazon's place, and is trusted in its place.
    Other(Url),
}

impl Origin {
    /// Whether a URL is at this origin.
    pub(super) fn owns(&self, url: &Url) -> bool {
        match self {
            Self::Other(own) => own.origin() == url.origin(),
            Self::Amazon => {
                url.scheme() == "https"
                    && url.port().is_none()
                    && url.host_str().is_some_and(is_amazons)
            }
        }
    }

    /// What may be connected to. Whoever names another origin may have it on this machine.
    pub(super) fn rules(&self) -> Rules {
        match self {
            Self::Amazon => Rules::default(),
            Self::Other(own) => Rules {
                private_too: true,
                plain_http: own.scheme() == "http",
            },
        }
    }
}

/// `sns.<region>.amazonaws.com`, or `.com.cn` in China.
fn is_amazons(host: &str) -> bool {
    let host = host.strip_suffix(".cn").unwrap_or(host);
    let region = host
        .strip_prefix("sns.")
        .and_then(|host| host.strip_suffix(".amazonaws.com"));
    region.is_some_and(|region| {
        region.len() >= 3
            && region
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect("a URL")
    }

    #[test]
    fn only_hosts_of_sns_over_tls_are_amazons() {
        for good in [
            "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem",
            "https://SNS.us-gov-west-1.amazonaws.com/?Action=ConfirmSubscription",
            "https://sns.cn-north-1.amazonaws.com.cn/x.pem",
        ] {
            assert!(Origin::Amazon.owns(&url(good)), "{good}");
        }
        for bad in [
            "http://sns.eu-west-1.amazonaws.com/x.pem",
            "https://sns.eu-west-1.amazonaws.com:8443/x.pem",
            "https://sns.eu-west-1.amazonaws.com.evil.example/x.pem",
            "https://evil.example/sns.eu-west-1.amazonaws.com",
            "https://sns.amazonaws.com/x.pem",
            "https://sns.a.b.amazonaws.com/x.pem",
            "https://bucket.s3.amazonaws.com/x.pem",
            "https://sns.eu-west-1.amazonaws.com@evil.example/x.pem",
        ] {
            assert!(!Origin::Amazon.owns(&url(bad)), "{bad}");
        }
    }

    #[test]
    fn another_origin_is_trusted_instead_and_no_other() {
        let own = Origin::Other(url("http://127.0.0.1:4566"));
        assert!(own.owns(&url("http://127.0.0.1:4566/x.pem")));
        for bad in [
            "http://127.0.0.1:4567/x.pem",
            "https://127.0.0.1:4566/x.pem",
            "https://sns.eu-west-1.amazonaws.com/x.pem",
        ] {
            assert!(!own.owns(&url(bad)), "{bad}");
        }
    }
}
