//! The personal links of a mail.

use chrono::{DateTime, Utc};
use common::token::{BadToken, Keyring, MailToken, Purpose};
use url::Url;

/// Makes and reads the tokens of mails.
#[derive(Clone, Debug)]
pub(crate) struct Links {
    keys: Keyring,
    /// Without a slash at the end.
    public: String,
}

/// Where a person's links of one mail go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Personal {
    pub(crate) unsubscribe: String,
    pub(crate) preferences: String,
    pub(crate) view: String,
    pub(crate) pixel: String,
}

impl Links {
    pub(crate) fn new(keys: Keyring, public: &Url) -> Self {
        Self {
            keys,
            public: public.as_str().trim_end_matches('/').to_owned(),
        }
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
        Personal {
            unsubscribe: format!("{}/u/{leave}", self.public),
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
        let token = MailToken {
            link: u16::try_from(index).unwrap_or(u16::MAX),
            url: url.to_owned(),
            ..token.clone()
        };
        format!(
            "{}/c/{}",
            self.public,
            self.keys.seal(Purpose::Click, &token)
        )
    }

    pub(crate) fn open_view(&self, text: &str) -> Result<MailToken, BadToken> {
        self.keys.open(Purpose::View, text)
    }
}
