//! Files as answers, written while they are read; and CSV.

use std::future::Future;

use actix_web::HttpResponse;
use bytes::Bytes;
use futures::stream;

/// A cell that no spreadsheet takes for a formula: an apostrophe goes before what would begin one.
pub fn guarded(cell: &str) -> String {
    match cell.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => format!("'{cell}"),
        false => cell.to_owned(),
    }
}

/// The type of CSV.
pub const CSV: &str = "text/csv; charset=utf-8";

/// Rows as CSV.
pub fn encode(rows: impl IntoIterator<Item = Vec<String>>) -> Bytes {
    let mut writer = csv::WriterBuilder::new()
        .flexible(true)
        .from_writer(Vec::new());
    for row in rows {
        writer
            .write_record(&row)
            .expect("writing to memory does not fail");
    }
    let bytes = writer.into_inner();
    bytes.expect("writing to memory does not fail").into()
}

/// A file of a header and then of whatever `next` gives, part by part. `next` answers the part
/// and the place of the one after it, if there is one.
pub fn download<P, F, E>(
    name: &str,
    content_type: &'static str,
    header: Bytes,
    first: P,
    next: impl Fn(P) -> F + 'static,
) -> HttpResponse
where
    P: 'static,
    F: Future<Output = Result<(Bytes, Option<P>), E>> + 'static,
    E: std::error::Error + 'static,
{
    let parts = stream::unfold(
        (Some(first), Some(header), next),
        |(place, header, next)| async move {
            if let Some(header) = header {
                return Some((Ok(header), (place, None, next)));
            }
            match next(place?).await {
                Ok((part, place)) => Some((Ok(part), (place, None, next))),
                // The status is sent already: the connection is cut, so nobody takes a part for
                // the whole.
                Err(error) => {
                    tracing::error!(%error, "a download broke off");
                    Some((Err(error), (None, None, next)))
                }
            }
        },
    );
    HttpResponse::Ok()
        .content_type(content_type)
        .insert_header((
            "content-disposition",
            format!("attachment; filename=\"{name}\""),
        ))
        .insert_header(("cache-control", "no-store"))
        .streaming(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formula_is_disarmed() {
        assert_eq!(guarded("=1+1"), "'=1+1");
        assert_eq!(guarded("@SUM(A1)"), "'@SUM(A1)");
        assert_eq!(guarded("a=1"), "a=1");
    }

    #[test]
    fn cells_are_quoted_where_needed() {
        let row = ["a,b", "c\"d", "e\nf"].map(str::to_owned).to_vec();
        assert_eq!(encode([row]), "\"a,b\",\"c\"\"d\",\"e\nf\"\n");
    }
}
