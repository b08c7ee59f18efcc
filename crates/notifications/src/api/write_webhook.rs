//! The bodies that make and change a webhook.

use chassis::InvalidInput;
use chassis::outbound::Guard;
use common::FieldError;
use common::events;
use serde::Deserialize;
use url::Url;

use crate::domain::webhook::ALL;

const MAX_URL: usize = 2000;
const MAX_DESCRIPTION: usize = 500;

/// A new webhook.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = notifications::NewWebhook)]
pub(crate) struct NewWebhook {
    /// `https://…`; it must lead into the Internet.
    url: String,
    /// Types of events, or `*` for all, which it is when absent.
    #[serde(default = "all")]
    events: Vec<String>,
    #[serde(default)]
    description: String,
}

/// Changes to a webhook: what is absent stays.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = notifications::WebhookChanges)]
pub(crate) struct WebhookChanges {
    url: Option<String>,
    events: Option<Vec<String>>,
    description: Option<String>,
    /// True makes one work again that was disabled; false ends what waits for it.
    pub(super) enabled: Option<bool>,
}

fn all() -> Vec<String> {
    vec![ALL.to_owned()]
}

/// What was said about a webhook, and can be kept.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) url: Option<String>,
    pub(super) events: Option<Vec<String>>,
    pub(super) description: Option<String>,
}

impl NewWebhook {
    pub(super) async fn checked(self, guard: &Guard) -> Result<Said, InvalidInput> {
        checked(
            guard,
            Said {
                url: Some(self.url),
                events: Some(self.events),
                description: Some(self.description),
            },
        )
        .await
    }
}

impl WebhookChanges {
    pub(super) async fn checked(self, guard: &Guard) -> Result<Said, InvalidInput> {
        checked(
            guard,
            Said {
                url: self.url,
                events: self.events,
                description: self.description,
            },
        )
        .await
    }
}

/// The same, tidied up, or everything that is wrong with it. Looks the host up.
async fn checked(guard: &Guard, mut said: Said) -> Result<Said, InvalidInput> {
    let mut wrong = Vec::new();
    if let Some(text) = &mut said.url {
        match parsed(guard, text).await {
            Ok(url) => *text = url.into(),
            Err(detail) => wrong.push(FieldError::new("/url", detail)),
        }
    }
    if let Some(events) = &mut said.events {
        wrong.extend(refused_events(events));
        events.sort_unstable();
        events.dedup();
    }
    if let Some(text) = &mut said.description {
        *text = text.trim().to_owned();
        if text.chars().count() > MAX_DESCRIPTION || text.chars().any(char::is_control) {
            let detail = format!("must be one line of at most {MAX_DESCRIPTION} characters");
            wrong.push(FieldError::new("/description", detail));
        }
    }
    match wrong.is_empty() {
        true => Ok(said),
        false => Err(InvalidInput::fields(wrong)),
    }
}

async fn parsed(guard: &Guard, text: &str) -> Result<Url, String> {
    if text.len() > MAX_URL {
        return Err(format!("must be at most {MAX_URL} octets long"));
    }
    let mut url = Url::parse(text).map_err(|error| format!("is not a URL: {error}"))?;
    url.set_fragment(None);
    guard
        .check(&url)
        .await
        .map_err(|refusal| refusal.to_string())?;
    Ok(url)
}

fn refused_events(kinds: &[String]) -> Vec<FieldError> {
    if kinds.is_empty() {
        let detail = "must name a type of events, or be [\"*\"]";
        return vec![FieldError::new("/events", detail)];
    }
    let known = |kind: &str| kind == ALL || events::KINDS.contains(&kind);
    let refuse = |(at, kind): (usize, &String)| {
        let detail = format!("`{kind}` is not a type of events");
        FieldError::new(format!("/events/{at}"), detail)
    };
    let unknown = kinds.iter().enumerate().filter(|(_, kind)| !known(kind));
    unknown.map(refuse).collect()
}
