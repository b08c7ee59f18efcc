//! The pages behind the links in our mails: looking changes nothing, the button does.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Form};
use chassis::http::Path;
use chassis::http::page::{escape, page};
use common::values::Secret;
use serde::Deserialize;

use super::{emails, invitations, passwords};
use crate::error::Error;
use crate::state::State;
use crate::store::mail_tokens::{self, Purpose};
use crate::tokens;

/// What a link stands for.
enum Link {
    Verify,
    Reset,
    /// To a workspace of this name, for somebody with or without an account.
    Invitation {
        workspace: String,
        known: bool,
    },
    Nothing,
}

async fn follow(state: &State, token: &str) -> Result<Link, Error> {
    let (hash, now) = (tokens::hash(token), state.now());
    state
        .host
        .db
        .run(move |conn| {
            if let Some(token) = mail_tokens::find(conn, &hash, now)? {
                return Ok(match token.kind == Purpose::Reset.as_str() {
                    true => Link::Reset,
                    false => Link::Verify,
                });
            }
            Ok(match invitations::look(conn, &hash, now)? {
                Some((_, workspace, user)) => Link::Invitation {
                    workspace: workspace.name,
                    known: user.is_some(),
                },
                None => Link::Nothing,
            })
        })
        .await
}

/// `GET /a/{token}`
pub(crate) async fn show(state: Data<State>, token: Path<String>) -> Result<HttpResponse, Error> {
    let link = follow(&state, &token.into_inner()).await?;
    Ok(form(&link, StatusCode::OK, ""))
}

fn form(link: &Link, status: StatusCode, problem: &str) -> HttpResponse {
    let problem = match problem {
        "" => String::new(),
        text => format!("<p role=\"alert\"><strong>{}</strong></p>", escape(text)),
    };
    let password = "<label>New password <input type=\"password\" name=\"password\" required \
         minlength=\"8\" maxlength=\"128\" autocomplete=\"new-password\"></label>";
    let (title, fields, button) = match link {
        Link::Verify => (
            "Confirm your email address".to_owned(),
            String::new(),
            "Confirm",
        ),
        Link::Reset => (
            "Choose a new password".to_owned(),
            password.to_owned(),
            "Set the password",
        ),
        Link::Invitation { workspace, known } => {
            let name = "<label>Your name <input type=\"text\" name=\"name\" required \
                 maxlength=\"200\" autocomplete=\"name\"></label>";
            let fields = match known {
                true => String::new(),
                false => format!("{name}{password}"),
            };
            (format!("Join {workspace}"), fields, "Join")
        }
        Link::Nothing => return invalid(),
    };
    let body =
        format!("{problem}<form method=\"post\">{fields}<p><button>{button}</button></p></form>");
    page(status, &title, &body)
}

fn invalid() -> HttpResponse {
    page(
        StatusCode::NOT_FOUND,
        "This link is not valid any more",
        "<p>It was used, it is too old, or a newer mail replaced it. Please ask for a new one.</p>",
    )
}

#[derive(Debug, Deserialize)]
pub(crate) struct Fields {
    name: Option<String>,
    password: Option<Secret>,
}

/// `POST /a/{token}`
pub(crate) async fn act(
    state: Data<State>,
    token: Path<String>,
    fields: Form<Fields>,
) -> Result<HttpResponse, Error> {
    let (token, Fields { name, password }) = (token.into_inner(), fields.into_inner());
    let (link, token) = (follow(&state, &token).await?, Secret::new(token));
    let done = match &link {
        Link::Verify => emails::confirm(&state, &token)
            .await
            .map(|()| "Your email address is confirmed."),
        Link::Reset => {
            let password = password.unwrap_or_else(|| Secret::new(""));
            let set = passwords::set(&state, token, &password).await;
            set.map(|()| "Your password is the new one. Every sign-in was ended.")
        }
        Link::Invitation { .. } => {
            let joined = invitations::join(&state, &token, name, password).await;
            joined.map(|_| "You belong to the workspace now.")
        }
        Link::Nothing => Err(Error::LinkInvalid),
    };
    match done {
        Ok(text) => {
            let body = format!("<p>{text}</p><p><a href=\"/\">Go to Clarion</a></p>");
            Ok(page(StatusCode::OK, "Done", &body))
        }
        Err(Error::LinkInvalid) => Ok(invalid()),
        Err(Error::Invalid(refused)) => Ok(form(
            &link,
            StatusCode::UNPROCESSABLE_ENTITY,
            &refused.to_string(),
        )),
        Err(Error::MemberAlready) => Ok(page(
            StatusCode::CONFLICT,
            "Nothing to do",
            "<p>You belong to this workspace already.</p><p><a href=\"/\">Go to Clarion</a></p>",
        )),
        Err(error) => Err(error),
    }
}
