//! The pages behind the links in our mails: looking changes nothing, the button does. They speak
//! the language of the browser that shows them.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Data;
use chassis::http::page::{escape, page};
use chassis::http::{Form, Language, Path};
use common::FieldError;
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
pub(crate) async fn show(
    state: Data<State>,
    token: Path<String>,
    language: Language,
) -> Result<HttpResponse, Error> {
    let link = follow(&state, &token.into_inner()).await?;
    Ok(form(language, &link, StatusCode::OK, ""))
}

fn form(language: Language, link: &Link, status: StatusCode, problem: &str) -> HttpResponse {
    let problem = match problem {
        "" => String::new(),
        text => format!("<p role=\"alert\"><strong>{}</strong></p>", escape(text)),
    };
    let password = format!(
        "<label>{} <input type=\"password\" name=\"password\" required \
         minlength=\"8\" maxlength=\"128\" autocomplete=\"new-password\"></label>",
        language.pick("New password", "Neues Passwort")
    );
    let (title, fields, button) = match link {
        Link::Verify => (
            language
                .pick(
                    "Confirm your email address",
                    "Bestätige deine E-Mail-Adresse",
                )
                .to_owned(),
            String::new(),
            language.pick("Confirm", "Bestätigen"),
        ),
        Link::Reset => (
            language
                .pick("Choose a new password", "Wähle ein neues Passwort")
                .to_owned(),
            password,
            language.pick("Set the password", "Passwort setzen"),
        ),
        Link::Invitation { workspace, known } => {
            let name = format!(
                "<label>{} <input type=\"text\" name=\"name\" required \
                 maxlength=\"200\" autocomplete=\"name\"></label>",
                language.pick("Your name", "Dein Name")
            );
            let fields = match known {
                true => String::new(),
                false => format!("{name}{password}"),
            };
            let title = language.pick(
                format!("Join {workspace}"),
                format!("In {workspace} mitarbeiten"),
            );
            (title, fields, language.pick("Join", "Beitreten"))
        }
        Link::Nothing => return invalid(language),
    };
    let body =
        format!("{problem}<form method=\"post\">{fields}<p><button>{button}</button></p></form>");
    page(language, status, &title, &body)
}

fn invalid(language: Language) -> HttpResponse {
    let title = language.pick(
        "This link is not valid any more",
        "Dieser Link gilt nicht mehr",
    );
    let body = language.pick(
        "<p>It was used, it is too old, or a newer mail replaced it. Please ask for a new one.</p>",
        "<p>Er wurde benutzt, ist zu alt, oder eine neuere Mail hat ihn ersetzt. Bitte fordere einen \
         neuen an.</p>",
    );
    page(language, StatusCode::NOT_FOUND, title, body)
}

/// What ends in a sentence and a way on.
fn done(language: Language, status: StatusCode, title: &str, text: &str) -> HttpResponse {
    let on = language.pick("Go to Clarion", "Zu Clarion");
    let body = format!("<p>{text}</p><p><a href=\"/\">{on}</a></p>");
    page(language, status, title, &body)
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
    language: Language,
    fields: Form<Fields>,
) -> Result<HttpResponse, Error> {
    let (token, Fields { name, password }) = (token.into_inner(), fields.into_inner());
    let (link, token) = (follow(&state, &token).await?, Secret::new(token));
    let acted = match &link {
        Link::Verify => emails::confirm(&state, &token).await.map(|()| {
            language.pick(
                "Your email address is confirmed.",
                "Deine E-Mail-Adresse ist bestätigt.",
            )
        }),
        Link::Reset => {
            let password = password.unwrap_or_else(|| Secret::new(""));
            let set = passwords::set(&state, token, &password, language).await;
            set.map(|()| {
                language.pick(
                    "Your password is the new one. Every sign-in was ended.",
                    "Dein Passwort ist das neue. Alle Anmeldungen sind beendet.",
                )
            })
        }
        Link::Invitation { .. } => {
            let joined = invitations::join(&state, &token, name, password).await;
            joined.map(|_| {
                language.pick(
                    "You belong to the workspace now.",
                    "Du gehörst jetzt zum Arbeitsbereich.",
                )
            })
        }
        Link::Nothing => Err(Error::LinkInvalid),
    };
    match acted {
        Ok(text) => {
            let title = language.pick("Done", "Erledigt");
            Ok(done(language, StatusCode::OK, title, text))
        }
        Err(Error::LinkInvalid) => Ok(invalid(language)),
        Err(Error::Invalid(refused)) => {
            let problems: Vec<_> = refused
                .fields
                .iter()
                .map(|field| refusal(language, field))
                .collect();
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            Ok(form(language, &link, status, &problems.join(" ")))
        }
        Err(Error::MemberAlready) => Ok(done(
            language,
            StatusCode::CONFLICT,
            language.pick("Nothing to do", "Nichts zu tun"),
            language.pick(
                "You belong to this workspace already.",
                "Du gehörst schon zu diesem Arbeitsbereich.",
            ),
        )),
        Err(error) => Err(error),
    }
}

/// Why a field of a page was refused, as whoever filled it in would say it.
fn refusal(language: Language, field: &FieldError) -> String {
    let name = match field.pointer.as_str() {
        "/name" => language.pick("Your name", "Dein Name"),
        _ => language.pick("The password", "Das Passwort"),
    };
    let german = match field.detail.as_str() {
        "must not contain control characters" => "darf keine Steuerzeichen enthalten",
        "must be 1 to 200 characters long" => "muss 1 bis 200 Zeichen lang sein",
        "must be 8 to 128 characters long" => "muss 8 bis 128 Zeichen lang sein",
        "is little more than a word that is used here" => {
            "ist kaum mehr als ein Wort, das hier vorkommt"
        }
        "is on the list of passwords that are guessed first" => {
            "steht auf der Liste der Passwörter, die zuerst geraten werden"
        }
        other => other,
    };
    format!("{name} {}.", language.pick(field.detail.as_str(), german))
}

/// What one of our pages says of an error, without its full stop.
pub(super) fn sentence(error: &Error, language: Language) -> String {
    let german = match error {
        Error::CodeWrong => "Der Code stimmt nicht oder wurde schon benutzt",
        Error::TooManyAttempts(_) => {
            "Zu viele Versuche; warte eine Weile oder fordere ein neues Passwort an"
        }
        Error::NoSession => "Du bist nicht angemeldet; melde dich an",
        Error::RegistrationClosed => {
            "Hier meldet sich niemand selbst an; bitte jemanden, dem der Arbeitsbereich gehört, dich \
             aufzunehmen"
        }
        Error::NoProvider => "Niemand anderes bürgt hier für Leute",
        Error::SignInLost => {
            "Diese Anmeldung wurde nicht in diesem Browser begonnen oder ist zu lange her; beginne \
             von vorn"
        }
        Error::ProviderSaysNo => "Der Anbieter lässt dich nicht herein",
        Error::IdTokenWrong => {
            "Was der Anbieter von dir sagt, ist nicht zu glauben; beginne von vorn"
        }
        Error::EmailNotVouchedFor => "Der Anbieter kennt keine bestätigte E-Mail-Adresse von dir",
        Error::LinkFirst => {
            "Es gibt ein Konto mit deiner E-Mail-Adresse; melde dich dort an und verknüpfe es von da aus"
        }
        Error::LinkedElsewhere => {
            "Als wen der Anbieter dich kennt, ist mit einem anderen Konto verknüpft"
        }
        Error::Unavailable(_) => "Das geht gerade nicht; versuche es gleich noch einmal",
        Error::Query(_) | Error::Internal(_) => "Auf unserer Seite ging etwas schief",
        // Nobody comes by these on a page.
        _ => return capital(&error.to_string()),
    };
    language.pick(capital(&error.to_string()), german.to_owned())
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(char::to_uppercase);
    first.into_iter().flatten().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use crate::domain::{Name, Password};

    use super::*;

    #[test]
    fn no_refusal_of_a_field_is_left_in_english() {
        let names = ["", "a\u{7f}"].map(|text| Name::parse(text).map(|_| ()));
        let passwords =
            ["short", "Clarion2026!", "password1"].map(|text| Password::parse(text).map(|_| ()));
        for (pointer, refused) in names
            .map(|refused| ("/name", refused))
            .into_iter()
            .chain(passwords.map(|refused| ("/password", refused)))
        {
            let field = FieldError::new(pointer, refused.expect_err("it is refused"));
            let german = refusal(Language::German, &field);
            assert!(!german.contains(&field.detail), "{german}");
            assert!(refusal(Language::English, &field).contains(&field.detail));
        }
    }
}
