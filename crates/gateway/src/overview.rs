//! What the dashboard begins with, in one answer: parts of several services, asked at the same time.

use std::rc::Rc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::Method;
use futures::future::join_all;
use serde_json::{Map, Value, json};

use crate::credentials::{self, Says};
use crate::error::Error;
use crate::fetch;
use crate::gate::Gate;
use crate::request::Request;
use crate::table::Auth;
use crate::{headers, openapi};

/// The parts, by name, and where each is found.
const PARTS: [(&str, &str); 4] = [
    ("campaigns", "/api/v1/campaigns?limit=5"),
    ("analytics", "/api/v1/analytics/overview"),
    ("messages", "/api/v1/messages?limit=5"),
    ("lists", "/api/v1/lists?limit=50"),
];

/// `GET /api/v1/overview`. A part that fails is named with the reason, and the others are there.
pub(crate) async fn answer(gate: &Rc<Gate>, request: &Request<'_>) -> Result<HttpResponse, Error> {
    let opened = credentials::open(gate, request, Auth::Needed).await?;
    let mut lines = Vec::new();
    headers::vouch(request, &mut lines);
    let token = match &opened.says {
        Says::Nothing => None,
        Says::TheSame => request.get("authorization"),
        Says::This(value) => Some(value.as_bytes()),
    };
    lines.extend_from_slice(b"authorization: ");
    lines.extend_from_slice(token.unwrap_or_default());
    lines.extend_from_slice(b"\r\n");
    let asked = PARTS.map(|(name, path)| part(gate, name, path, &lines));
    let (mut parts, mut missing) = (Map::new(), Vec::new());
    for (name, answer) in join_all(asked).await {
        match answer {
            Ok(value) => {
                parts.insert(name.to_owned(), value);
            }
            Err((code, detail)) => {
                missing.push(json!({ "part": name, "code": code, "detail": detail }));
            }
        }
    }
    Ok(HttpResponse::Ok().json(json!({ "parts": parts, "missing": missing })))
}

/// One part, or the code and the sentence that say why it is not there.
async fn part(
    gate: &Rc<Gate>,
    name: &'static str,
    path: &str,
    lines: &[u8],
) -> (&'static str, Result<Value, (String, String)>) {
    const PATIENCE: Duration = Duration::from_secs(5);
    let view = gate.view();
    let plain = path.split('?').next().unwrap_or_default();
    let Some(route) = view.table.find(&Method::GET, plain) else {
        let detail = "there is nothing at its address".to_owned();
        return (name, Err(("route_not_found".to_owned(), detail)));
    };
    let fetching = fetch::get_with(gate, &route.pool, path, lines);
    let answer = match actix_web::rt::time::timeout(PATIENCE, fetching).await {
        Ok(answer) => answer,
        Err(_) => Err(Error::Late {
            part: route.pool.name().to_owned(),
        }),
    };
    let found = match answer {
        Ok((200, body)) => serde_json::from_slice(&body).map_err(|_| {
            (
                "bad_gateway".to_owned(),
                "its answer is not JSON".to_owned(),
            )
        }),
        Ok((status, body)) => Err(refusal(status, &body)),
        Err(error) => {
            let code = chassis::Fault::kind(&error).1;
            Err((code.to_owned(), error.to_string()))
        }
    };
    (name, found)
}

/// Why a service said no, in its words.
fn refusal(status: u16, body: &[u8]) -> (String, String) {
    match serde_json::from_slice::<common::Problem>(body) {
        Ok(problem) => (problem.code, problem.detail),
        Err(_) => ("refused".to_owned(), format!("it answered {status}")),
    }
}

/// How the merged document describes it.
pub(crate) fn described() -> Value {
    let mut operation = json!({
        "operationId": "gateway_overview",
        "tags": ["gateway"],
        "summary": "What the dashboard begins with, in one answer",
        "description": "Each part is what its own address answers; one that is away or not allowed is named in `missing`.",
        "responses": {
            "200": { "description": "The parts that answered.", "content": { "application/json": { "schema": {
                "type": "object",
                "required": ["parts", "missing"],
                "properties": {
                    "parts": { "type": "object", "description": "By name: campaigns, analytics, messages, lists." },
                    "missing": { "type": "array", "items": {
                        "type": "object",
                        "required": ["part", "code", "detail"],
                        "properties": {
                            "part": { "type": "string" },
                            "code": { "type": "string" },
                            "detail": { "type": "string" },
                        } } },
                } } } } },
        },
    });
    openapi::complete(&mut operation);
    json!({ "get": operation })
}
