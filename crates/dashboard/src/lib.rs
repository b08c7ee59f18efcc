//! The dashboard's files, built from `app/` and compiled in, and how each is to be served.
//!
//! Without Node there is nothing to compile in; then [`is_built`] says so and nothing is found.

use std::borrow::Cow;
use std::sync::LazyLock;

use rust_embed::{EmbeddedFile, RustEmbed};

#[derive(RustEmbed)]
#[folder = "app/dist"]
struct Dist;

/// The page that every screen begins with.
const INDEX: &str = "index.html";

/// The first parts of the screens' paths; the router of the app reads the same file.
static SCREENS: LazyLock<Vec<String>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../app/paths.json")).expect("a list of texts")
});

/// Scripts are ours, from our own files, and nothing becomes HTML or a script but through the
/// policy of the mail preview. Styles may stand in elements: mails in the preview have them, and
/// a frame without an address of its own inherits this policy. Mails also show foreign images.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; connect-src 'self'; \
     style-src 'self' 'unsafe-inline'; img-src 'self' data: blob: https: http:; font-src 'self'; \
     manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; \
     trusted-types preview; require-trusted-types-for 'script'";

/// A file, and what a browser is to be told with it.
#[derive(Debug)]
pub struct File {
    pub bytes: Cow<'static, [u8]>,
    pub content_type: String,
    /// `Content-Encoding`, if the bytes are compressed.
    pub encoding: Option<&'static str>,
    pub cache_control: &'static str,
    /// A strong validator, quotes included.
    pub etag: String,
    /// `Content-Security-Policy`, for pages.
    pub policy: Option<&'static str>,
}

/// Whether there is a dashboard in this build.
pub fn is_built() -> bool {
    Dist::get(INDEX).is_some()
}

/// What is at `path`: a file of the build, or the page for a screen's path. `accept_encoding` is
/// the request's.
pub fn find(path: &str, accept_encoding: &str) -> Option<File> {
    let path = path.strip_prefix('/')?;
    match is_screen(path) {
        true => file(INDEX, accept_encoding),
        // The page has one address: its own name is none.
        false if path == INDEX || path.starts_with('.') || is_compressed(path) => None,
        false => file(path, accept_encoding),
    }
}

/// Whether a path, without its first slash, is one that the app's router knows.
fn is_screen(path: &str) -> bool {
    let first = path.split('/').next().unwrap_or_default();
    path.is_empty() || SCREENS.iter().any(|screen| screen == first)
}

/// The build puts compressed copies beside the files.
fn is_compressed(path: &str) -> bool {
    [".br", ".gz"].iter().any(|ending| path.ends_with(ending))
}

fn file(name: &str, accept_encoding: &str) -> Option<File> {
    let plain = Dist::get(name)?;
    let content_type = content_type(plain.metadata.mimetype());
    let (found, encoding) =
        smallest(name, accept_encoding).map_or((plain, None), |(file, name)| (file, Some(name)));
    let is_page = name == INDEX;
    // A new build gives a changed file another name.
    let forever = name.starts_with("assets/");
    Some(File {
        content_type,
        encoding,
        cache_control: match forever {
            true => "public, max-age=31536000, immutable",
            false => "no-cache",
        },
        etag: format!("\"{}\"", hex::encode(&found.metadata.sha256_hash()[..16])),
        policy: is_page.then_some(PAGE_POLICY),
        bytes: found.data,
    })
}

/// The smallest compressed copy that the client takes.
fn smallest(name: &str, accept_encoding: &str) -> Option<(EmbeddedFile, &'static str)> {
    [("br", ".br"), ("gzip", ".gz")]
        .into_iter()
        .filter(|(encoding, _)| accepts(accept_encoding, encoding))
        .find_map(|(encoding, ending)| Some((Dist::get(&format!("{name}{ending}"))?, encoding)))
}

/// Whether an `Accept-Encoding` names `encoding` and does not refuse it by `q=0`.
fn accepts(header: &str, encoding: &str) -> bool {
    header.split(',').any(|part| {
        let mut words = part.split(';').map(str::trim);
        let named = words
            .next()
            .is_some_and(|name| name.eq_ignore_ascii_case(encoding));
        let quality = words.find_map(|word| word.strip_prefix("q="));
        named && quality.is_none_or(|q| q.parse::<f32>().is_ok_and(|q| q > 0.0))
    })
}

fn content_type(mime: &str) -> String {
    match mime.starts_with("text/") {
        true => format!("{mime}; charset=utf-8"),
        false => mime.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_paths_of_screens_are_screens() {
        for path in [
            "",
            "campaigns",
            "campaigns/7/report",
            "settings/users",
            "sign-in",
        ] {
            assert!(is_screen(path), "{path}");
        }
        for path in [
            "campaignsx",
            "api/v1/campaigns",
            "docs",
            "u/token",
            "assets/none.js",
            "x",
        ] {
            assert!(!is_screen(path), "{path}");
        }
    }

    #[test]
    fn a_client_gets_an_encoding_that_it_takes() {
        assert!(accepts("gzip, deflate, br", "br"));
        assert!(accepts("GZIP;q=0.5", "gzip"));
        assert!(!accepts("gzip;q=0, deflate", "gzip"));
        assert!(!accepts("", "br"));
        assert!(!accepts("brotli", "br"));
    }

    #[test]
    fn scripts_of_a_page_never_stand_in_it() {
        let scripts = PAGE_POLICY.split(';').map(str::trim);
        let scripts: Vec<_> = scripts
            .filter(|part| part.starts_with("script-src"))
            .collect();
        assert_eq!(scripts, ["script-src 'self'"]);
    }

    /// What was built is served as it should be; without Node nothing is built.
    #[test]
    fn the_page_is_asked_for_anew_and_its_parts_are_kept() {
        let Some(page) = find("/campaigns", "") else {
            assert!(!is_built());
            return;
        };
        assert_eq!(page.cache_control, "no-cache");
        assert_eq!(page.content_type, "text/html; charset=utf-8");
        assert!(page.policy.is_some() && page.encoding.is_none());
        let parts: Vec<_> = Dist::iter()
            .filter(|name| name.starts_with("assets/") && name.ends_with(".js"))
            .collect();
        assert!(!parts.is_empty());
        for name in parts {
            let plain = find(&format!("/{name}"), "").expect("a file");
            let small = find(&format!("/{name}"), "gzip, br").expect("a file");
            assert!(plain.cache_control.contains("immutable"), "{name}");
            assert_eq!(plain.content_type, "text/javascript; charset=utf-8");
            if plain.bytes.len() > 1024 {
                assert_eq!(small.encoding, Some("br"), "{name}");
                assert!(small.bytes.len() < plain.bytes.len(), "{name}");
                assert_ne!(small.etag, plain.etag, "{name}");
            }
            assert!(find(&format!("/{name}.br"), "br").is_none(), "{name}");
        }
        assert!(find("/index.html", "").is_none());
    }
}
