//! One OpenAPI document out of those of the services.

mod answers;

pub(crate) use answers::complete;

use std::rc::Rc;

use actix_web::HttpResponse;
use futures::future::join_all;
use serde_json::{Map, Value, json};

use crate::error::Error;
use crate::fetch;
use crate::gate::Gate;
use crate::overview;

/// Two services that use one name for different things.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Clash(pub String);

/// `GET /api/v1/openapi.json`. A service that is away is left out, and named in `x-missing`.
pub(crate) async fn document(gate: &Rc<Gate>) -> Result<HttpResponse, Error> {
    let view = gate.view();
    let asked = view.table.documented().iter().map(|pool| async move {
        let answer = fetch::get(gate, pool, "/openapi.json").await;
        let document = answer
            .ok()
            .filter(|(status, _)| *status == 200)
            .and_then(|(_, body)| serde_json::from_slice(&body).ok());
        (pool.name(), document)
    });
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for (name, document) in join_all(asked).await {
        match document {
            Some(document) => found.push((name, document)),
            None => missing.push(name),
        }
    }
    let public_url = gate.shared.public_url.as_str().trim_end_matches('/');
    let mut merged = merge(public_url, found).map_err(|Clash(what)| Error::Clash(what))?;
    merged["paths"]["/api/v1/overview"] = overview::described();
    if !missing.is_empty() {
        merged["x-missing"] = json!(missing);
    }
    Ok(HttpResponse::Ok().json(merged))
}

/// Merges documents, each with the name of its service. Paths and operation ids must be unique;
/// a schema that two services name must be the same in both.
pub fn merge(server: &str, documents: Vec<(&str, Value)>) -> Result<Value, Clash> {
    let mut merged = Merged::default();
    for (service, document) in documents {
        merged.add(service, document)?;
    }
    merged
        .tags
        .push(json!({ "name": "gateway", "description": "The public door." }));
    Ok(json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Clarion",
            "description": "Campaigns, leads, analytics and revenue in one stack.",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": server }],
        "tags": merged.tags,
        "security": [{ "bearer": [] }, { "api_key": [] }, { "session": [] }],
        "paths": merged.paths,
        "components": {
            "schemas": merged.schemas,
            "responses": answers::components(),
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" },
                "api_key": { "type": "apiKey", "in": "header", "name": "X-Api-Key" },
                "write_key": { "type": "http", "scheme": "basic" },
                "session": {
                    "type": "apiKey", "in": "cookie", "name": crate::headers::SESSION_COOKIE
                },
            },
        },
    }))
}

#[derive(Default)]
struct Merged {
    paths: Map<String, Value>,
    schemas: Map<String, Value>,
    operations: std::collections::HashMap<String, String>,
    tags: Vec<Value>,
}

impl Merged {
    fn add(&mut self, service: &str, mut document: Value) -> Result<(), Clash> {
        let take = |value: Option<&mut Value>| match value.map(Value::take) {
            Some(Value::Object(map)) => map,
            _ => Map::new(),
        };
        let paths = take(document.pointer_mut("/paths"));
        let schemas = take(document.pointer_mut("/components/schemas"));
        let about = document.pointer("/info/description").cloned();
        self.tags.push(
            match about.filter(|about| about.as_str().is_some_and(|about| !about.is_empty())) {
                Some(about) => json!({ "name": service, "description": about }),
                None => json!({ "name": service }),
            },
        );
        for (path, mut item) in paths {
            self.add_operations(service, &path, &item)?;
            let operations = item.as_object_mut().into_iter().flat_map(Map::values_mut);
            operations
                .filter(|operation| operation.get("responses").is_some())
                .for_each(answers::complete);
            if self.paths.insert(path.clone(), item).is_some() {
                return Err(Clash(format!("path {path}, again in {service}")));
            }
        }
        for (name, schema) in schemas {
            match self.schemas.get(&name) {
                Some(known) if *known != schema => {
                    return Err(Clash(format!("schema {name}, another one in {service}")));
                }
                Some(_) => {}
                None => {
                    self.schemas.insert(name, schema);
                }
            }
        }
        Ok(())
    }

    fn add_operations(&mut self, service: &str, path: &str, item: &Value) -> Result<(), Clash> {
        let operations = item.as_object().into_iter().flat_map(Map::values);
        let ids = operations.filter_map(|operation| operation.get("operationId")?.as_str());
        for id in ids {
            let place = format!("{path} of {service}");
            if let Some(first) = self.operations.insert(id.to_owned(), place.clone()) {
                return Err(Clash(format!("operationId {id} at {first} and at {place}")));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(path: &str, operation: &str, schemas: Value) -> Value {
        json!({
            "openapi": "3.1.0",
            "info": { "title": "x", "description": "About it.", "version": "1" },
            "paths": { path: { "get": { "operationId": operation, "responses": {} } } },
            "components": { "schemas": schemas },
        })
    }

    #[test]
    fn documents_become_one() {
        let problem = json!({ "type": "object" });
        let merged = merge(
            "http://x",
            vec![
                (
                    "a",
                    document("/a", "a_list", json!({ "Problem": problem, "a.Item": {} })),
                ),
                (
                    "b",
                    document("/b", "b_list", json!({ "Problem": problem, "b.Item": {} })),
                ),
            ],
        )
        .expect("nothing clashes");
        assert_eq!(merged["paths"].as_object().map(Map::len), Some(2));
        assert_eq!(
            merged["components"]["schemas"].as_object().map(Map::len),
            Some(3)
        );
        assert_eq!(merged["tags"][1]["name"], "b");
    }

    #[test]
    fn clashes_are_named() {
        let cases = [
            (document("/b", "a_list", json!({})), "operationId a_list"),
            (document("/a", "b_list", json!({})), "path /a"),
            (
                document("/b", "b_list", json!({ "Item": { "type": "string" } })),
                "schema Item",
            ),
        ];
        for (second, what) in cases {
            let first = document("/a", "a_list", json!({ "Item": { "type": "object" } }));
            let error = merge("http://x", vec![("a", first), ("b", second)])
                .expect_err(what)
                .to_string();
            assert!(error.contains(what), "{error}");
        }
    }
}
