//! Pages for people who follow a link in a mail or fill in a form: small, without scripts, and safe to look at.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use aws_lc_rs::rand;

use super::Language;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:3rem auto;\
padding:0 1rem;color:#1b1b1f;background:#fff}h1{font-size:1.4rem}label{display:block;padding:.4rem 0}\
input[type=text],input[type=password],input[type=email],input[type=tel]{display:block;width:100%;box-sizing:border-box;font:inherit;padding:.5rem;\
border:1px solid #8a8a93;border-radius:.4rem}button{font:inherit;padding:.6rem 1.2rem;border:0;border-radius:.4rem;background:#1f4fd8;color:#fff}\
.wrong{display:block;color:#b3261e}.nobody{position:absolute;left:-10000px}.text{white-space:pre-line}\
button:focus-visible,input:focus-visible,a:focus-visible{outline:3px solid #f5a623;outline-offset:2px}";

/// Text as itself inside HTML, also inside a quoted attribute.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A page; `body` is HTML whose every foreign part went through [`escape`].
pub fn page(language: Language, status: StatusCode, title: &str, body: &str) -> HttpResponse {
    Page::new(language, status, title, body).answer()
}

/// A page with what not every page has.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    language: Language,
    status: StatusCode,
    title: &'a str,
    body: &'a str,
    leads_to: Option<&'a str>,
    named_to_itself: bool,
}

impl<'a> Page<'a> {
    /// `body` is HTML whose every foreign part went through [`escape`].
    pub fn new(language: Language, status: StatusCode, title: &'a str, body: &'a str) -> Self {
        Self {
            language,
            status,
            title,
            body,
            leads_to: None,
            named_to_itself: false,
        }
    }

    /// What its form sends may end at this origin, which browsers refuse else.
    pub fn leads_to(mut self, origin: Option<&'a str>) -> Self {
        self.leads_to = origin;
        self
    }

    /// What its form sends says that it comes from here; nobody else learns of it.
    pub fn named_to_itself(mut self) -> Self {
        self.named_to_itself = true;
        self
    }

    pub fn answer(self) -> HttpResponse {
        let mut random = [0; 16];
        rand::fill(&mut random).expect("the system gives random octets");
        let (title, nonce) = (escape(self.title), hex::encode(random));
        let (tag, body) = (self.language.tag(), self.body);
        let html = format!(
            "<!doctype html><html lang=\"{tag}\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <meta name=\"robots\" content=\"noindex\"><title>{title}</title>\
             <style nonce=\"{nonce}\">{STYLE}</style></head>\
             <body><main><h1>{title}</h1>{body}</main></body></html>"
        );
        let further = self.leads_to.map(|origin| format!(" {origin}"));
        let further = further.unwrap_or_default();
        let policy = format!(
            "default-src 'none'; style-src 'nonce-{nonce}'; form-action 'self'{further}; base-uri 'none'; frame-ancestors 'none'"
        );
        let referrer = match self.named_to_itself {
            true => "same-origin",
            false => "no-referrer",
        };
        HttpResponse::build(self.status)
            .content_type("text/html; charset=utf-8")
            .insert_header(("content-security-policy", policy))
            .insert_header(("cache-control", "no-store"))
            .insert_header(("content-language", tag))
            .insert_header(("referrer-policy", referrer))
            .insert_header(("x-content-type-options", "nosniff"))
            .insert_header(("x-robots-tag", "noindex"))
            .body(html)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_foreign_becomes_markup() {
        assert_eq!(
            escape("<a href=\"x\" title='y'>&"),
            "&lt;a href=&quot;x&quot; title=&#39;y&#39;&gt;&amp;"
        );
    }
}
