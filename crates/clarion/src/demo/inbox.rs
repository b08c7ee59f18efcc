//! What arrived: the mailbox that stands for every foreign mail server, read through the gateway.

use anyhow::Context;
use common::token;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A client of the mailbox.
#[derive(Clone, Debug)]
pub(crate) struct Inbox {
    base: String,
    client: reqwest::Client,
}

/// A message as a list shows it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Summary {
    pub(crate) id: String,
    pub(crate) rcpt_to: Vec<String>,
    pub(crate) subject: Option<String>,
    pub(crate) message_id: Option<String>,
}

/// A message opened.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Mail {
    #[serde(flatten)]
    pub(crate) summary: Summary,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) text: Option<String>,
    pub(crate) links: Vec<String>,
    pub(crate) images: Vec<String>,
}

#[derive(Deserialize)]
struct Listing {
    items: Vec<Summary>,
    next_cursor: Option<String>,
}

impl Inbox {
    pub(crate) fn at(base: &str) -> Self {
        Self {
            base: base.to_owned(),
            client: chassis::client::http(),
        }
    }

    /// Every message whose subject contains `subject`, newest first.
    pub(crate) async fn with_subject(
        &self,
        subject: &str,
        mut each_page: impl FnMut(usize),
    ) -> anyhow::Result<Vec<Summary>> {
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("messages.json?subject={subject}&limit=500{cursor}");
            let page: Listing = self.get(&path).await?;
            found.extend(page.items);
            each_page(found.len());
            match page.next_cursor {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(found),
            }
        }
    }

    /// What went to one address, newest first.
    pub(crate) async fn to(&self, address: &str) -> anyhow::Result<Vec<Summary>> {
        let path = format!("messages.json?rcpt={address}");
        Ok(self.get::<Listing>(&path).await?.items)
    }

    pub(crate) async fn open(&self, id: &str) -> anyhow::Result<Mail> {
        self.get(&format!("messages/{id}.json")).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let asked = self
            .client
            .get(format!("{}/mailbox/{path}", self.base))
            .send()
            .await;
        let answer = asked.and_then(reqwest::Response::error_for_status);
        let answer =
            answer.context("the mailbox does not answer; the demo needs one behind the gateway")?;
        Ok(answer.json().await?)
    }
}

impl Mail {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find_map(|(known, value)| known.eq_ignore_ascii_case(name).then_some(value.as_str()))
    }

    /// Where a one-click unsubscribe is posted to (RFC 8058), if the mail offers it.
    pub(crate) fn one_click(&self) -> Option<&str> {
        self.header("List-Unsubscribe-Post")
            .filter(|value| *value == "List-Unsubscribe=One-Click")?;
        let targets = self.header("List-Unsubscribe")?.split(',').map(str::trim);
        let mut targets = targets.filter_map(|one| one.strip_prefix('<')?.strip_suffix('>'));
        targets.find(|target| target.starts_with("http"))
    }

    /// The open pixel.
    pub(crate) fn pixel(&self) -> Option<&str> {
        self.images
            .iter()
            .map(String::as_str)
            .find(|image| image.contains("/o/"))
    }

    /// The links whose clicks are counted and that people see, in the order of the mail.
    pub(crate) fn tracked(&self) -> Vec<&str> {
        let number = |link: &str| token::link_number(link.split_once("/c/")?.1);
        let seen = |link: &&str| number(link) != Some(token::CANARY);
        let links = self.links.iter().map(String::as_str);
        links
            .filter(|link| link.contains("/c/"))
            .filter(seen)
            .collect()
    }
}

/// An address as the mailbox compares it: in lower case, with its domain in ASCII.
pub(crate) fn mail_key(address: &str) -> String {
    let lower = address.to_lowercase();
    match lower.rsplit_once('@') {
        Some((local, domain)) => match url::Host::parse(domain) {
            Ok(domain) => format!("{local}@{domain}"),
            Err(_) => lower,
        },
        None => lower,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(headers: &[(&str, &str)]) -> Mail {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Mail {
            summary: Summary {
                id: String::new(),
                rcpt_to: vec![],
                subject: None,
                message_id: None,
            },
            headers: headers.iter().map(own).collect(),
            text: None,
            links: vec![
                "http://p/c/1".into(),
                "http://p/u/2".into(),
                "http://p/c/3".into(),
            ],
            images: vec![
                "https://a.example/logo.png".into(),
                "http://p/o/1.gif".into(),
            ],
        }
    }

    #[test]
    fn the_one_click_target_is_found_among_several() {
        let both = [
            ("list-unsubscribe", "<mailto:u@a.example>, <https://p/u/t>"),
            ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        ];
        assert_eq!(mail(&both).one_click(), Some("https://p/u/t"));
        assert_eq!(mail(&both[..1]).one_click(), None);
        assert_eq!(mail(&both[1..]).one_click(), None);
    }

    #[test]
    fn pixel_and_tracked_links_are_told_from_the_others() {
        let mail = mail(&[]);
        assert_eq!(mail.pixel(), Some("http://p/o/1.gif"));
        assert_eq!(mail.tracked(), ["http://p/c/1", "http://p/c/3"]);
    }

    #[test]
    fn one_mailbox_has_one_key() {
        assert_eq!(
            mail_key("JÖRG.1@Bücher.Example"),
            mail_key("jörg.1@xn--bcher-kva.example")
        );
        assert_eq!(mail_key("no at"), "no at");
    }
}
