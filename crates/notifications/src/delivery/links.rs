//! The personal links of a mail.

use chrono::{DateTime, Utc};
use common::return_path::ReturnPath;
use common::token::{BadToken, CANARY, Keyring, MailToken, Purpose};
use common::values::EmailAddress;
use url::Url;

use crate::inbound::BounceDomain;

/// Makes and reads the tokens of mails, return paths among them.
#[derive(Clone, Debug)]
pub(crate) struct Links {
    keys: Keyring,
    /// Without a slash at the end.
    public: String,
    bounce_domain: Option<String>,
    canaries: bool,
}

/// Where a person's links of one mail go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Personal {
    pub(crate) unsubscribe: String,
    /// The same by mail.
    pub(crate) leave: Option<EmailAddress>,
    pub(crate) preferences: String,
    pub(crate) view: String,
    pub(crate) pixel: String,
    /// The link that nobody sees; none where the operator wants none.
    pub(crate) canary: Option<String>,
}

impl Links {
    pub(crate) fn new(keys: Keyring, public: &Url) -> Self {
        Self {
            keys,
            public: public.as_str().trim_end_matches('/').to_owned(),
            bounce_domain: None,
            canaries: false,
        }
    }

    /// The same, with a link in each mail of a campaign that nobody sees, if so wished.
    pub(crate) fn and_canaries(mut self, canaries: bool) -> Self {
        self.canaries = canaries;
        self
    }

    /// The same, with return paths in this domain.
    pub(crate) fn and_return_paths(mut self, domain: Option<&BounceDomain>) -> Self {
        self.bounce_domain = domain.map(|domain| domain.as_str().to_owned());
        self
    }

    /// Where what cannot be delivered comes back to; none when that is the sender.
    pub(crate) fn return_path(&self, token: &MailToken) -> Option<EmailAddress> {
        let MailToken {
            workspace_id,
            message_id,
            issued_at,
            ..
        } = token;
        self.in_bounce_domain(|keys| keys.return_path(*workspace_id, *message_id, *issued_at))
    }

    /// The address that a mail to unsubscribes (RFC 2369 §3.2); none when no mail comes to us.
    pub(crate) fn leaving_path(&self, token: &MailToken) -> Option<EmailAddress> {
        let MailToken {
            workspace_id,
            message_id,
            issued_at,
            ..
        } = token;
        self.in_bounce_domain(|keys| keys.leaving_path(*workspace_id, *message_id, *issued_at))
    }

    /// Signs nothing where there is no such domain.
    fn in_bounce_domain(&self, sign: impl FnOnce(&Keyring) -> String) -> Option<EmailAddress> {
        let domain = self.bounce_domain.as_deref()?;
        let local = sign(&self.keys);
        let address = EmailAddress::parse(&format!("{local}@{domain}"));
        Some(address.expect("a token beside a domain that was looked at"))
    }

    /// Reads an address that `leaving_path` made.
    pub(crate) fn open_leaving_path(
        &self,
        address: &str,
        now: DateTime<Utc>,
    ) -> Result<ReturnPath, BadToken> {
        let (local, domain) = address.rsplit_once('@').ok_or(BadToken)?;
        match self.is_bounce_domain(domain) {
            true => self.keys.read_leaving_path(local, now),
            false => Err(BadToken),
        }
    }

    /// Reads an address that `return_path` made not too long ago.
    pub(crate) fn open_return_path(
        &self,
        address: &str,
        now: DateTime<Utc>,
    ) -> Result<ReturnPath, BadToken> {
        let (local, domain) = address.rsplit_once('@').ok_or(BadToken)?;
        match &self.bounce_domain {
            Some(ours) if domain.eq_ignore_ascii_case(ours) => {
                self.keys.read_return_path(local, now)
            }
            _ => Err(BadToken),
        }
    }

    /// The domain of return paths; none when what cannot be delivered goes back to the sender.
    pub(crate) fn bounce_domain(&self) -> Option<&str> {
        self.bounce_domain.as_deref()
    }

    pub(crate) fn is_bounce_domain(&self, domain: &str) -> bool {
        let ours = self.bounce_domain.as_deref();
        ours.is_some_and(|ours| domain.eq_ignore_ascii_case(ours))
    }

    /// The first return path of ours that a mail tells of, wherever in it that is.
    pub(crate) fn find_return_path(&self, mail: &[u8], now: DateTime<Utc>) -> Option<ReturnPath> {
        let text = String::from_utf8_lossy(mail);
        let part_of_one = |c: char| c.is_ascii_alphanumeric() || "-.@".contains(c);
        text.split(|c| !part_of_one(c))
            .filter(|word| word.contains('@'))
            .find_map(|word| self.open_return_path(word, now).ok())
    }

    /// The first token for leaving that a mail tells of, as its `List-Unsubscribe` has one.
    pub(crate) fn find_unsubscribe(&self, mail: &[u8]) -> Option<MailToken> {
        let text = String::from_utf8_lossy(mail);
        let part_of_one = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        text.split("/u/").skip(1).find_map(|rest| {
            let token = rest.split(|c| !part_of_one(c)).next()?;
            self.keys.open(Purpose::Unsubscribe, token).ok()
        })
    }

    /// The token that all links of a message are made from.
    pub(crate) fn token(message: &crate::store::claims::Claimed, now: DateTime<Utc>) -> MailToken {
        MailToken {
            workspace_id: message.workspace(),
            campaign_id: message.campaign(),
            lead_id: message.lead(),
            message_id: message.id(),
            issued_at: now,
            link: 0,
            url: String::new(),
        }
    }

    pub(crate) fn personal(&self, token: &MailToken) -> Personal {
        let leave = self.keys.seal(Purpose::Unsubscribe, token);
        let canary = || self.click_token(token, "", CANARY);
        Personal {
            canary: self.canaries.then(canary),
            unsubscribe: format!("{}/u/{leave}", self.public),
            leave: self.leaving_path(token),
            preferences: format!("{}/p/{leave}", self.public),
            view: format!("{}/v/{}", self.public, self.keys.seal(Purpose::View, token)),
            pixel: format!(
                "{}/o/{}.gif",
                self.public,
                self.keys.seal(Purpose::Open, token)
            ),
        }
    }

    /// The link that counts a click and goes on to `url`.
    pub(crate) fn click(&self, token: &MailToken, url: &str, index: usize) -> String {
        let last = CANARY - 1;
        let link = u16::try_from(index).map_or(last, |link| link.min(last));
        self.click_token(token, url, link)
    }

    fn click_token(&self, token: &MailToken, url: &str, link: u16) -> String {
        let token = MailToken {
            link,
            url: url.to_owned(),
            ..token.clone()
        };
        format!(
            "{}/c/{}",
            self.public,
            self.keys.seal(Purpose::Click, &token)
        )
    }

    /// Where a mail provider tells what became of mails.
    pub(crate) fn hook(&self, provider: &str, token: &str) -> String {
        format!("{}/hooks/{provider}/{token}", self.public)
    }

    pub(crate) fn open_view(&self, text: &str) -> Result<MailToken, BadToken> {
        self.keys.open(Purpose::View, text)
    }
}

#[cfg(test)]
mod tests {
    use common::values::Secret;

    use super::*;

    #[test]
    fn the_link_that_nobody_sees_is_there_where_it_is_wanted() {
        let keys = Keyring::new(Secret::new("a secret of a test"));
        let public = Url::parse("http://clarion.test/").expect("a URL");
        let links = Links::new(keys.clone(), &public);
        let token = MailToken {
            workspace_id: common::WorkspaceId::new(),
            campaign_id: None,
            lead_id: None,
            message_id: common::MessageId::new(),
            issued_at: DateTime::from_timestamp(1_790_000_000, 0).expect("a time"),
            link: 0,
            url: String::new(),
        };
        assert_eq!(links.personal(&token).canary, None);
        let canary = links.clone().and_canaries(true).personal(&token).canary;
        let canary = canary.expect("a link");
        let sealed = canary
            .strip_prefix("http://clarion.test/c/")
            .expect("a click");
        let opened = keys.open(Purpose::Click, sealed).expect("ours");
        assert_eq!((opened.link, opened.url.as_str()), (CANARY, ""));
        // No link of the author's has its number, however many there are.
        let last = links.click(&token, "https://a.example/", 70_000);
        let sealed = last.rsplit_once('/').expect("a path").1;
        assert_eq!(common::token::link_number(sealed), Some(CANARY - 1));
    }
}
