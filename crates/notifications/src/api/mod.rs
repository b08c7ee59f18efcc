//! What can be asked over HTTP.

pub(crate) mod domains;
mod feedback;
pub(crate) mod hooks;
pub(crate) mod internal;
pub(crate) mod messages;
pub(crate) mod receive;
pub(crate) mod senders;
pub(crate) mod transactional;
mod upload;
pub(crate) mod view;
pub(crate) mod webhook_deliveries;
pub(crate) mod webhooks;
mod write_sender;
mod write_webhook;

use chassis::InvalidInput;
use common::FieldError;
use common::dto::dispatch::CampaignSnapshot;
use content::Compiled;

use crate::delivery;

/// Refuses a content that cannot be made into mails, naming everything that is wrong with it;
/// `at` is where the content stands in the body.
fn check(snapshot: &CampaignSnapshot, at: &str) -> Result<Compiled, InvalidInput> {
    let mut fields = Vec::new();
    for (pointer, text) in [
        ("/name", &snapshot.name),
        ("/subject", &snapshot.subject),
        ("/preheader", &snapshot.preheader),
        ("/from/name", &snapshot.from.name),
    ] {
        if text.chars().any(char::is_control) {
            let detail = "must be one line without control characters";
            fields.push(FieldError::new(format!("{at}{pointer}"), detail));
        }
    }
    let compiled = delivery::compile(snapshot);
    if let Err(problems) = &compiled {
        fields.extend(problems.iter().map(|problem| {
            let place =
                |number: Option<usize>| number.and_then(|number| u32::try_from(number).ok());
            FieldError {
                pointer: format!("{at}{}", problem.field.pointer()),
                line: place(problem.line),
                column: place(problem.column),
                detail: problem.message.clone(),
            }
        }));
    }
    // A template tells of a line break in its own words.
    fields.dedup_by(|later, first| later.pointer == first.pointer && later.line.is_none());
    match compiled {
        Ok(compiled) if fields.is_empty() => Ok(compiled),
        _ => Err(InvalidInput::fields(fields)),
    }
}
