//! What the pages behind the links in mails have in common.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use chassis::http::Language;
pub(crate) use chassis::http::page::{escape, page};

/// What a link that we did not make leads to.
pub(crate) fn bad_link(language: Language) -> HttpResponse {
    let title = language.pick("This link is not valid", "Dieser Link ist nicht gültig");
    let body = language.pick(
        "<p>Please follow the link in the mail again. Some mail programs break long links.</p>",
        "<p>Bitte dem Link in der Mail noch einmal folgen. Manche Mailprogramme zerbrechen lange \
         Links.</p>",
    );
    page(language, StatusCode::NOT_FOUND, title, body)
}

/// The link of a test mail, or of somebody whose data is gone.
pub(crate) fn nobody(language: Language) -> HttpResponse {
    let title = language.pick("Nothing to do", "Nichts zu tun");
    let body = language.pick(
        "<p>There is nobody behind this link, so there is nothing to change.</p>",
        "<p>Hinter diesem Link steht niemand, also gibt es nichts zu ändern.</p>",
    );
    page(language, StatusCode::OK, title, body)
}

/// An address as its owner knows it and a stranger does not.
pub(crate) fn masked(address: &str) -> String {
    match address.rsplit_once('@') {
        Some((local, domain)) => {
            let first: String = local.chars().take(1).collect();
            format!("{first}•••@{domain}")
        }
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_masked() {
        assert_eq!(masked("ada@example.com"), "a•••@example.com");
    }
}
