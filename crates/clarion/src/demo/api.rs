//! The public API as the demo calls it: through the gateway, signed in as a person.

use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use common::Problem;
use common::page::Page;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Mutex;

/// How often a request is repeated that the gateway puts off.
const PATIENCE: u32 = 5;

/// Who the demo is.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) email: String,
    pub(crate) password: String,
}

/// A signed-in client of one platform.
#[derive(Debug)]
pub(crate) struct Api {
    base: String,
    client: reqwest::Client,
    account: Account,
    token: Mutex<Token>,
}

#[derive(Debug)]
struct Token {
    text: String,
    /// When to sign in again, well before it expires.
    renew: Instant,
}

#[derive(Deserialize)]
struct SignedIn {
    access_token: String,
    expires_in: u64,
}

impl From<SignedIn> for Token {
    fn from(signed_in: SignedIn) -> Self {
        Self {
            text: signed_in.access_token,
            renew: Instant::now() + Duration::from_secs(signed_in.expires_in / 2),
        }
    }
}

impl Api {
    /// Signs in, or registers a workspace of its own when there is no account yet.
    pub(crate) async fn sign_in(base: &str, account: Option<Account>) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .user_agent(concat!("clarion-demo/", env!("CARGO_PKG_VERSION")))
            .timeout(Duration::from_secs(120))
            .no_proxy()
            .build()?;
        let (account, token) = match account {
            Some(account) => {
                let token = log_in(&client, base, &account).await?;
                (account, token)
            }
            None => register(&client, base).await?,
        };
        Ok(Self {
            base: base.to_owned(),
            client,
            account,
            token: Mutex::new(token),
        })
    }

    /// A request as the signed-in person.
    pub(crate) async fn request(
        &self,
        method: Method,
        path: &str,
    ) -> anyhow::Result<RequestBuilder> {
        let mut token = self.token.lock().await;
        if Instant::now() >= token.renew {
            *token = log_in(&self.client, &self.base, &self.account).await?;
        }
        let url = format!("{}{path}", self.base);
        Ok(self.client.request(method, url).bearer_auth(&token.text))
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        read(self.request(Method::GET, path).await?).await
    }

    pub(crate) async fn get_text(&self, path: &str) -> anyhow::Result<String> {
        Ok(send(self.request(Method::GET, path).await?)
            .await?
            .text()
            .await?)
    }

    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        read(self.request(Method::POST, path).await?.json(body)).await
    }

    /// Posts what must not happen twice.
    pub(crate) async fn post_once<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        let key = uuid::Uuid::new_v4().to_string();
        let request = self.request(Method::POST, path).await?;
        read(request.header("Idempotency-Key", key).json(body)).await
    }

    pub(crate) async fn post_csv<T: DeserializeOwned>(
        &self,
        path: &str,
        csv: Vec<u8>,
    ) -> anyhow::Result<T> {
        let request = self.request(Method::POST, path).await?;
        read(request.header("content-type", "text/csv").body(csv)).await
    }

    /// Every item of a list, page by page.
    pub(crate) async fn all<T: DeserializeOwned>(
        &self,
        path: &str,
        mut each_page: impl FnMut(usize),
    ) -> anyhow::Result<Vec<T>> {
        let mark = if path.contains('?') { '&' } else { '?' };
        let (mut items, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let after = cursor.map_or_else(String::new, |cursor| format!("&cursor={cursor}"));
            let page: Page<T> = self.get(&format!("{path}{mark}limit=500{after}")).await?;
            items.extend(page.items);
            each_page(items.len());
            match page.next_cursor {
                Some(next) => cursor = Some(next),
                None => return Ok(items),
            }
        }
    }
}

async fn log_in(client: &reqwest::Client, base: &str, account: &Account) -> anyhow::Result<Token> {
    let body = json!({ "email": account.email, "password": account.password });
    let signed_in: SignedIn = read(client.post(format!("{base}/api/v1/login")).json(&body))
        .await
        .with_context(|| format!("cannot sign in as {}", account.email))?;
    Ok(signed_in.into())
}

async fn register(client: &reqwest::Client, base: &str) -> anyhow::Result<(Account, Token)> {
    let account = Account {
        email: format!(
            "demo-{}@clarion-demo.example",
            uuid::Uuid::new_v4().simple()
        ),
        password: uuid::Uuid::new_v4().to_string(),
    };
    let body = json!({
        "name": "Demo Owner",
        "email": account.email,
        "password": account.password,
        "workspace": { "name": "Demo" },
    });
    let signed_in: SignedIn = read(client.post(format!("{base}/api/v1/register")).json(&body))
        .await
        .context("cannot register a workspace; give --email and --password of an account")?;
    Ok((account, signed_in.into()))
}

async fn read<T: DeserializeOwned>(request: RequestBuilder) -> anyhow::Result<T> {
    let response = send(request).await?;
    let asked = response.url().path().to_owned();
    let body: Value = response
        .json()
        .await
        .with_context(|| format!("{asked} answers no JSON"))?;
    serde_json::from_value(body).with_context(|| format!("{asked} answers something unexpected"))
}

/// Sends; waits and repeats while the answer is "too many requests".
async fn send(request: RequestBuilder) -> anyhow::Result<Response> {
    let (client, request) = request.build_split();
    let request = request?;
    let asked = format!("{} {}", request.method(), request.url().path());
    for _ in 0..PATIENCE {
        let copy = request
            .try_clone()
            .ok_or_else(|| anyhow!("{asked} cannot be repeated"))?;
        let response = client
            .execute(copy)
            .await
            .map_err(|error| anyhow!("{asked}: {}", root_cause(&error)))?;
        match response.status() {
            StatusCode::TOO_MANY_REQUESTS => tokio::time::sleep(retry_after(&response)).await,
            status if status.is_success() => return Ok(response),
            status => bail!("{asked} answers {status}{}", sentence(response).await),
        }
    }
    bail!("{asked} is put off again and again (429)")
}

/// How long an answer asks to be left alone.
pub(crate) fn retry_after(response: &Response) -> Duration {
    let header = response.headers().get("retry-after");
    let seconds = header.and_then(|value| value.to_str().ok()?.parse().ok());
    Duration::from_secs(seconds.unwrap_or(1).clamp(1, 30))
}

/// What a problem says of itself, with every refused field.
async fn sentence(response: Response) -> String {
    let Ok(problem) = response.json::<Problem>().await else {
        return String::new();
    };
    let fields: Vec<String> = problem
        .errors
        .iter()
        .map(|field| format!("{} {}", field.pointer, field.detail))
        .collect();
    let Problem { code, detail, .. } = problem;
    match fields.is_empty() {
        true => format!(" ({code}): {detail}"),
        false => format!(" ({code}): {detail}: {}", fields.join("; ")),
    }
}

/// The deepest reason, which says what the library's own sentence hides.
fn root_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => root_cause(source),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_platform_that_is_not_there_is_said_plainly() {
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|l| l.local_addr())
            .unwrap()
            .port();
        let refused = Api::sign_in(&format!("http://127.0.0.1:{port}"), None)
            .await
            .unwrap_err();
        assert!(
            format!("{refused:#}").contains("POST /api/v1/register: Connection refused"),
            "{refused:#}"
        );
    }
}
