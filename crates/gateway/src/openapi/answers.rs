//! What the gateway adds to every operation of the merged document: the answers that it gives itself,
//! and those that our services give to input that they cannot use.

use serde_json::{Map, Value, json};

/// Status, name of the response, and when it is given.
const EVERYWHERE: [(&str, &str, &str); 7] = [
    (
        "400",
        "Malformed",
        "The request cannot be read, or has more than one credential.",
    ),
    ("414", "UriTooLong", "The address is longer than 8 KiB."),
    (
        "429",
        "TooMany",
        "Too many requests; `Retry-After` says when the next one is allowed.",
    ),
    (
        "431",
        "HeadTooLarge",
        "The head is longer than 32 KiB or has more than 100 lines.",
    ),
    ("502", "BadGateway", "The service broke the connection off."),
    (
        "503",
        "Unavailable",
        "The service is away or there is too much to do; `Retry-After` says when to try again.",
    ),
    ("504", "Late", "The service did not answer in time."),
];
const WITH_CREDENTIALS: [(&str, &str, &str); 2] = [
    ("401", "Unauthenticated", "There is no valid credential."),
    (
        "403",
        "Forbidden",
        "The caller may not do this, or it comes from another site.",
    ),
];
const WITH_BODY: [(&str, &str, &str); 2] = [
    ("408", "TooSlow", "The body stands still."),
    (
        "413",
        "TooLarge",
        "The body is larger than this address takes.",
    ),
];
const WITH_INPUT: [(&str, &str, &str); 1] = [(
    "422",
    "InvalidInput",
    "A field cannot be used; all of them are named in `errors`.",
)];

/// The components that the operations refer to.
pub(super) fn components() -> Value {
    let all = EVERYWHERE
        .iter()
        .chain(&WITH_CREDENTIALS)
        .chain(&WITH_BODY)
        .chain(&WITH_INPUT);
    let response = |description: &str| {
        json!({ "description": description, "content": { "application/problem+json": {
            "schema": { "$ref": "#/components/schemas/Problem" } } } })
    };
    all.map(|(_, name, description)| ((*name).to_owned(), response(description)))
        .collect::<Map<_, _>>()
        .into()
}

/// Adds what an operation does not say itself.
pub(crate) fn complete(operation: &mut Value) {
    summarise(operation);
    let has = |pointer: &str| operation.pointer(pointer).is_some();
    let parameters = operation["parameters"].as_array();
    let asks = parameters
        .into_iter()
        .flatten()
        .any(|parameter| parameter["in"] == "query");
    let body = has("/requestBody");
    // An operation says `security: []` when it is for everybody.
    let open = operation["security"].as_array().is_some_and(Vec::is_empty);
    let mut answers: Vec<_> = EVERYWHERE.to_vec();
    if !open {
        answers.extend(WITH_CREDENTIALS);
    }
    if body {
        answers.extend(WITH_BODY);
    }
    if body || asks {
        answers.extend(WITH_INPUT);
    }
    let Some(responses) = operation["responses"].as_object_mut() else {
        return;
    };
    for (status, name, _) in answers {
        let reference = || json!({ "$ref": format!("#/components/responses/{name}") });
        responses.entry(status).or_insert_with(reference);
    }
}

/// An operation without a summary gets the first sentence of its description, or its name in words.
fn summarise(operation: &mut Value) {
    if operation["summary"].is_string() {
        return;
    }
    let description = operation["description"].as_str().unwrap_or_default();
    let sentence = description
        .split(['\n', '.'])
        .next()
        .unwrap_or_default()
        .trim();
    let summary = match sentence {
        "" => {
            let id = operation["operationId"].as_str().unwrap_or_default();
            let words = id
                .split_once('_')
                .map_or(id, |(_, words)| words)
                .replace('_', " ");
            let mut letters = words.chars();
            let first = letters.next().map(char::to_uppercase);
            first.into_iter().flatten().chain(letters).collect()
        }
        sentence => sentence.to_owned(),
    };
    operation["summary"] = summary.into();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(mut operation: Value) -> Value {
        complete(&mut operation);
        operation
    }

    #[test]
    fn an_operation_says_what_can_happen_to_it() {
        let read = completed(json!({ "operationId": "leads_list_members", "responses": {
            "200": { "description": "All." }, "429": { "description": "Its own." } } }));
        let statuses: Vec<_> = read["responses"]
            .as_object()
            .expect("a map")
            .keys()
            .collect();
        assert_eq!(
            statuses,
            [
                "200", "400", "401", "403", "414", "429", "431", "502", "503", "504"
            ]
        );
        assert_eq!(read["responses"]["429"]["description"], "Its own.");
        assert_eq!(read["summary"], "List members");
        let write = completed(
            json!({ "security": [], "description": "Signs in. And more.",
            "requestBody": {}, "responses": {} }),
        );
        assert_eq!(write["summary"], "Signs in");
        assert!(write["responses"].get("401").is_none());
        assert!(write["responses"].get("413").is_some() && write["responses"].get("422").is_some());
    }

    #[test]
    fn every_answer_that_is_referred_to_is_there() {
        let operation = json!({ "requestBody": {}, "responses": {} });
        let components = components();
        for answer in completed(operation)["responses"]
            .as_object()
            .expect("a map")
            .values()
        {
            let reference = answer["$ref"].as_str().expect("a reference");
            let name = reference.rsplit('/').next().expect("a name");
            assert!(components.get(name).is_some(), "{name}");
        }
    }
}
