//! An HTTP client with a caller's token, and answers that can be asserted on.

use common::Problem;
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Sends requests to one server as one caller. It does not follow redirects.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

/// A request on its way.
#[derive(Debug)]
pub struct Request(reqwest::RequestBuilder);

/// An answer, read whole.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
    asked: String,
}

impl Client {
    pub fn new(base: impl Into<String>, token: Option<String>) -> Self {
        Self::over(chassis::client::http(), base, token)
    }

    /// The same by this client.
    pub fn over(http: reqwest::Client, base: impl Into<String>, token: Option<String>) -> Self {
        Self {
            http,
            base: base.into(),
            token,
        }
    }

    /// The same server, asked by somebody else.
    pub fn with_token(&self, token: String) -> Self {
        Self {
            token: Some(token),
            ..self.clone()
        }
    }

    pub fn get(&self, path: impl AsRef<str>) -> Request {
        self.request(Method::GET, path)
    }

    pub fn post(&self, path: impl AsRef<str>) -> Request {
        self.request(Method::POST, path)
    }

    pub fn put(&self, path: impl AsRef<str>) -> Request {
        self.request(Method::PUT, path)
    }

    pub fn patch(&self, path: impl AsRef<str>) -> Request {
        self.request(Method::PATCH, path)
    }

    pub fn delete(&self, path: impl AsRef<str>) -> Request {
        self.request(Method::DELETE, path)
    }

    pub fn head(&self, path: impl AsRef<str>) -> Request {
        self.request(Method::HEAD, path)
    }

    pub fn request(&self, method: Method, path: impl AsRef<str>) -> Request {
        let request = self
            .http
            .request(method, format!("{}{}", self.base, path.as_ref()));
        Request(match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        })
    }
}

impl Request {
    pub fn json(self, body: &impl Serialize) -> Self {
        Self(self.0.json(body))
    }

    pub fn body(self, body: impl Into<reqwest::Body>) -> Self {
        Self(self.0.body(body))
    }

    pub fn form(self, form: &impl Serialize) -> Self {
        Self(self.0.form(form))
    }

    pub fn header(self, name: &str, value: &str) -> Self {
        Self(self.0.header(name, value))
    }

    pub fn query(self, query: &impl Serialize) -> Self {
        Self(self.0.query(query))
    }

    /// Sends it; a server that does not answer fails the test.
    pub async fn send(self) -> Response {
        self.try_send().await.expect("the server answers")
    }

    /// Sends it to a server that may be away.
    pub async fn try_send(self) -> reqwest::Result<Response> {
        let (client, request) = self.0.build_split();
        let request = request?;
        let asked = format!("{} {}", request.method(), request.url().path());
        let response = client.execute(request).await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await?.to_vec();
        Ok(Response {
            status,
            headers,
            body,
            asked,
        })
    }
}

impl Response {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The body as `T`; anything else fails the test and shows the body.
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{}: {error} in {}", self.asked, self.text()))
    }

    pub fn assert_status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}: {}", self.asked, self.text());
        self
    }

    /// Asserts a problem document with this status and code, and returns it.
    pub fn assert_error(self, status: u16, code: &str) -> Problem {
        let response = self.assert_status(status);
        assert_eq!(
            response.header("content-type"),
            Some("application/problem+json")
        );
        let problem: Problem = response.json();
        assert_eq!(problem.code, code, "{problem:?}");
        problem
    }
}
