use std::fmt::Write;

use actix_web::{
    Error, HttpResponse,
    web::{Data, Query},
};

use super::{
    html::{Encoded, Text, page},
    json,
};
use crate::{Filter, Handle, Listing, Summary};

/// `GET /mailbox`
pub(super) async fn show(
    handle: Data<Handle>,
    filter: Query<Filter>,
) -> Result<HttpResponse, Error> {
    let filter = filter.into_inner();
    let listing = json::find(&handle, filter.clone()).await?;
    Ok(page("Mailbox", &body(&filter, &listing)))
}

fn body(filter: &Filter, listing: &Listing) -> String {
    let to = filter.to.as_deref().unwrap_or_default();
    let subject = filter.subject.as_deref().unwrap_or_default();
    let mut rows: String = listing.items.iter().map(row).collect();
    if rows.is_empty() {
        let why = if listing.total == 0 && to.is_empty() && subject.is_empty() {
            "No mail yet."
        } else {
            "No mail here matches."
        };
        let _ = write!(
            rows,
            "<tr><td colspan=\"4\" class=\"empty\">{why}</td></tr>"
        );
    }
    format!(
        "<header><h1><a href=\"/mailbox\">Mailbox</a></h1>\
         <form method=\"get\" action=\"/mailbox\" role=\"search\">\
         <input type=\"search\" name=\"to\" value=\"{to}\" placeholder=\"Recipient\" aria-label=\"Recipient\">\
         <input type=\"search\" name=\"subject\" value=\"{subject}\" placeholder=\"Subject\" aria-label=\"Subject\">\
         <button>Search</button></form><p class=\"count\">{total}</p></header>\
         <main><table><thead><tr><th>Received</th><th>To</th><th>Subject</th><th>From</th></tr></thead>\
         <tbody>{rows}</tbody></table>{pager}</main>",
        to = Text(to),
        subject = Text(subject),
        total = count(listing.total),
        pager = pager(filter, listing),
    )
}

fn count(total: usize) -> String {
    match total {
        1 => "1 mail".to_owned(),
        total => format!("{total} mails"),
    }
}

fn row(mail: &Summary) -> String {
    let subject = mail
        .subject
        .as_deref()
        .filter(|text| !text.trim().is_empty());
    let more = match mail.rcpt_to.len() {
        0 | 1 => String::new(),
        many => format!(" <span class=\"more\">+{}</span>", many - 1),
    };
    format!(
        "<tr><td class=\"time\">{time}</td><td>{to}{more}</td>\
         <td><a href=\"/mailbox/{id}\">{subject}</a></td><td>{from}</td></tr>",
        time = mail.received_at.format("%Y-%m-%d %H:%M:%S"),
        to = Text(mail.rcpt_to.first().map_or("", String::as_str)),
        id = mail.id,
        subject = Text(subject.unwrap_or("(no subject)")),
        from = Text(mail.from.as_deref().unwrap_or(&mail.mail_from)),
    )
}

fn pager(filter: &Filter, listing: &Listing) -> String {
    let newest = if filter.cursor.is_some() {
        link(filter, None, "Newest")
    } else {
        String::new()
    };
    let older = match &listing.next_cursor {
        Some(cursor) => link(filter, Some(cursor), "Older"),
        None => String::new(),
    };
    format!("<nav>{newest}{older}</nav>")
}

fn link(filter: &Filter, cursor: Option<&str>, label: &str) -> String {
    let limit = filter.limit.map(|limit| limit.to_string());
    let values = [
        ("to", filter.to.as_deref()),
        ("rcpt", filter.rcpt.as_deref()),
        ("subject", filter.subject.as_deref()),
        ("limit", limit.as_deref()),
        ("cursor", cursor),
    ];
    let pairs = values
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name}={}", Encoded(value?))));
    let query = pairs.collect::<Vec<_>>().join("&amp;");
    format!("<a class=\"page\" href=\"/mailbox?{query}\">{label}</a>")
}
