//! What `docs/security.md` says of the sources as a whole: what they use, and what they never do.

use std::collections::BTreeSet;

use crate::workspace::{METADATA, files_below, items, members, read, root, texts};

/// Crates that are tools for operators and tests; no service holds them.
const TOOLS: [&str; 4] = ["clarion", "laptop", "mailbox", "testkit"];
const APP: &str = "crates/dashboard/app";

/// A file by its path below `crates`, and what of it is not a test.
struct Source {
    name: String,
    text: String,
}

fn below(folder: &str, ending: &str) -> Vec<Source> {
    let (folder, crates) = (root().join(folder), root().join("crates"));
    let read = |path: std::path::PathBuf| {
        let name = path.strip_prefix(&crates).expect("it is below").display();
        Source {
            name: name.to_string(),
            text: std::fs::read_to_string(&path).expect("a text"),
        }
    };
    files_below(&folder, ending).into_iter().map(read).collect()
}

/// The Rust of every crate that is not a tool.
fn services() -> Vec<Source> {
    let names = members().into_iter().filter_map(|it| it["name"].as_str());
    let names = names.filter(|name| !TOOLS.contains(name));
    let files = names.flat_map(|name| below(&format!("crates/{name}/src"), ".rs"));
    // Modules that are built for tests only.
    let tests = ["/tests.rs", "/scripted.rs"];
    let files = files.filter(|source| !tests.iter().any(|end| source.name.ends_with(end)));
    let files: Vec<_> = files.map(without_tests).collect();
    assert!(files.len() > 200, "the sources are read wrongly");
    files
}

fn without_tests(source: Source) -> Source {
    let text = source.text.split("#[cfg(test)]\nmod ").next();
    Source {
        text: text.unwrap_or_default().to_owned(),
        ..source
    }
}

/// What the dashboard is made of, without its tests.
fn dashboard() -> Vec<Source> {
    let all = ["src", "public", "index.html"].map(|part| format!("{APP}/{part}"));
    let endings = [".ts", ".tsx", ".css", ".svg", ".html"];
    let files = all.iter().flat_map(|part| match part.ends_with(".html") {
        true => below(APP, "app/index.html"),
        false => endings
            .iter()
            .flat_map(|ending| below(part, ending))
            .collect(),
    });
    let files: Vec<_> = files
        .filter(|source| !source.name.contains(".test.") && !source.name.contains("/dist/"))
        .collect();
    assert!(files.len() > 50, "the dashboard is read wrongly");
    files
}

/// The files that hold any of `words`.
fn holding<'a>(sources: &'a [Source], words: &[&str]) -> BTreeSet<&'a str> {
    sources
        .iter()
        .filter(|source| words.iter().any(|word| source.text.contains(word)))
        .map(|source| source.name.as_str())
        .collect()
}

fn set<const N: usize>(names: [&'static str; N]) -> BTreeSet<&'static str> {
    names.into_iter().collect()
}

/// The libraries that a crate of the house names itself.
fn direct() -> BTreeSet<&'static str> {
    let all = members()
        .into_iter()
        .flat_map(|it| items(&it["dependencies"]));
    all.filter_map(|it| it["name"].as_str()).collect()
}

#[test]
fn services_start_no_other_program() {
    let words = ["Command::new", "process::Command", "posix_spawn", "execve"];
    assert_eq!(holding(&services(), &words), set([]));
}

#[test]
fn memory_is_left_to_the_compiler() {
    let workspace = read("Cargo.toml");
    assert!(workspace.contains("\nunsafe_code = \"deny\"\n"));
    let sources = services();
    // The allocator's settings and libpq are C.
    assert_eq!(
        holding(&sources, &["unsafe "]),
        set(["chassis/src/memory.rs", "chassis/src/pq.rs"])
    );
    let lost = ["mem::forget", "Box::leak", ".leak()", "ManuallyDrop"];
    assert_eq!(holding(&sources, &lost), set([]));
}

#[test]
fn numbers_that_overflow_stop_the_request_in_every_build() {
    let manifest: toml::Table = read("Cargo.toml").parse().expect("TOML");
    let profiles = &manifest["profile"];
    let release = profiles["release"].as_table().expect("a profile");
    assert_eq!(release["overflow-checks"].as_bool(), Some(true));
    // Libraries keep what they were tested with.
    let libraries = &release["package"]["*"];
    assert_eq!(libraries["overflow-checks"].as_bool(), Some(false));
    assert!(profiles["dev"].get("overflow-checks").is_none());
}

#[test]
fn one_cipher_seals_and_nothing_else_encrypts() {
    let sources = services();
    let sealing = "chassis/src/sealing.rs";
    assert_eq!(holding(&sources, &["aead::"]), set([sealing]));
    let used = sources.iter().find(|source| source.name == sealing);
    let used = &used.expect("it is there").text;
    assert!(used.contains("RandomizedNonceKey::new(&AES_256_GCM"));
    for other in [
        "AES_128",
        "AES_256_CBC",
        "CHACHA20",
        "UnboundCipherKey",
        "ecb",
        "Pkcs1Private",
        "Pkcs1Public",
    ] {
        assert_eq!(holding(&sources, &[other]), set([]), "{other}");
    }
    for library in [
        "aes",
        "aes-gcm",
        "cbc",
        "chacha20poly1305",
        "des",
        "ecb",
        "rc4",
        "rsa",
    ] {
        assert!(!direct().contains(library), "{library} encrypts too");
    }
}

#[test]
fn old_hashes_are_only_where_somebody_elses_standard_wants_them() {
    let old = ["SHA1", "Sha1", "sha1", "MD5", "Md5", "md5"];
    // Authenticator apps have SHA-1 inside an HMAC (RFC 6238); Amazon signs its notices with it
    // unless it is told not to, and we only verify those.
    let allowed = set([
        "identity/src/domain/authenticator.rs",
        "notifications/src/inbound/sns/letter.rs",
    ]);
    assert_eq!(holding(&services(), &old), allowed);
    for library in ["md-5", "md5", "sha-1", "sha1"] {
        assert!(!direct().contains(library), "{library} hashes too");
    }
}

#[test]
fn what_must_not_be_guessed_comes_from_the_generator_for_secrets() {
    let sources = services();
    let secrets = set([
        "analytics/src/domain/share.rs",
        "chassis/src/http/page.rs",
        "identity/src/api/second_factor.rs",
        "identity/src/tokens.rs",
        "notifications/src/api/domains.rs",
        "notifications/src/api/hooks.rs",
        "notifications/src/domain/webhook.rs",
        "notifications/src/webhooks/poster.rs",
    ]);
    assert_eq!(holding(&sources, &["rand::fill("]), secrets);
    // Names of requests and traces, which are told to whoever asks.
    let names = set(["chassis/src/http/context.rs", "gateway/src/request.rs"]);
    assert_eq!(holding(&sources, &["rand::rng", "StdRng"]), names);
    // A write key stands in every page that sends with it; nobody's password only takes time.
    let public = set([
        "analytics/src/domain/write_key.rs",
        "identity/src/passwords.rs",
    ]);
    assert_eq!(holding(&sources, &["new_v4"]), public);
    for library in ["fastrand", "getrandom", "oorandom", "rand_chacha"] {
        assert!(!direct().contains(library), "{library} makes numbers too");
    }
}

#[test]
fn there_is_no_debug_mode() {
    let sources = services();
    let modes = [
        "cfg!(debug_assertions)",
        "cfg(debug_assertions)",
        "_DEBUG\"",
        "DEBUG_",
    ];
    assert_eq!(holding(&sources, &modes), set([]));
    let recipes: Vec<_> = std::fs::read_dir(root())
        .expect("the root")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with("Dockerfile."))
        .collect();
    assert!(recipes.len() > 6, "{recipes:?}");
    for recipe in recipes {
        let text = read(&recipe);
        assert!(text.contains("--release"), "{recipe}");
        assert!(!text.contains("RUST_BACKTRACE"), "{recipe}");
    }
    let production = read("deploy/config/prod/clarion.env");
    for line in [
        "CLARION_ENV=prod",
        "CLARION_LOG=info",
        "CLARION_LOG_FORMAT=json",
    ] {
        assert!(production.lines().any(|it| it == line), "{line}");
    }
    assert!(!read(format!("{APP}/vite.config.ts")).contains("sourcemap"));
}

#[test]
fn services_write_logs_nowhere_but_where_the_inventory_says() {
    let sources = services();
    let files = ["File::create", "OpenOptions", "fs::write", "File::options"];
    assert_eq!(holding(&sources, &files), set(["gateway/src/lib.rs"]));
    let screen = ["println!", "print!(", "dbg!("];
    // What stops a program before logs begin.
    let before = set(["chassis/src/process.rs", "chassis/src/telemetry.rs"]);
    assert_eq!(holding(&sources, &screen), before);
    let telemetry = sources
        .iter()
        .find(|it| it.name == "chassis/src/telemetry.rs");
    let telemetry = &telemetry.expect("it is there").text;
    assert_eq!(
        telemetry
            .matches("self.writer(std::io::stderr, colours)")
            .count(),
        1
    );
    let inventory = read("docs/logs.md");
    for place in ["standard error", "GATEWAY_ACCESS_LOG", "audit_log"] {
        assert!(inventory.contains(place), "docs/logs.md names {place}");
    }
}

#[test]
fn the_dashboard_names_no_other_site() {
    // A name of a format, and examples that people read and nobody asks.
    let known = [
        "www.w3.org",
        "example.com",
        "shop.example",
        "localhost",
        "clarion.example",
    ];
    for source in dashboard() {
        if source.name.ends_with("api/schema.ts") {
            continue;
        }
        let parts = source.text.split("://").skip(1);
        for part in parts {
            let host = part
                .split(|c: char| !(c.is_alphanumeric() || ".-".contains(c)))
                .next();
            let host = host.unwrap_or_default();
            assert!(
                host.is_empty() || known.contains(&host),
                "{} names {host}",
                source.name
            );
        }
    }
}

#[test]
fn browsers_are_given_choices_and_unsaved_drafts_to_keep_and_nothing_else() {
    let sources = dashboard();
    let places = [
        "localStorage",
        "sessionStorage",
        "indexedDB",
        "document.cookie",
        "caches.",
    ];
    let allowed = set([
        "dashboard/app/src/i18n/index.ts",
        "dashboard/app/src/lib/autosave.ts",
        "dashboard/app/src/lib/theme.ts",
    ]);
    assert_eq!(holding(&sources, &places), allowed);
    let others = ["sessionStorage", "indexedDB", "document.cookie", "caches."];
    assert_eq!(holding(&sources, &others), set([]));
    for source in &sources {
        for call in source.text.split("localStorage.setItem(").skip(1) {
            let key = call.split(',').next().unwrap_or_default();
            assert!(["KEY", "key"].contains(&key), "{}: {key}", source.name);
        }
    }
    for key in [
        "\"clarion.language\"",
        "\"clarion.theme\"",
        "\"clarion.unsaved.\"",
    ] {
        assert_eq!(holding(&sources, &[key]).len(), 1, "{key}");
    }
}

#[test]
fn passwords_may_be_pasted_and_filled_in() {
    let mut fields = 0;
    let pages = ["identity/src/api/pages.rs", "identity/src/api/oidc.rs"];
    let pages = services()
        .into_iter()
        .filter(|it| pages.contains(&it.name.as_str()));
    for Source { name, text } in dashboard().into_iter().chain(pages) {
        let text = text.replace("\\\"", "\"").to_lowercase();
        assert!(!text.contains("onpaste"), "{name}");
        for (before, after) in text
            .match_indices("type=\"password\"")
            .map(|(at, _)| text.split_at(at))
        {
            let open = before.rfind('<').expect("an element");
            let element = &before[open..];
            let rest = after.split("/>").next().unwrap_or_default();
            let whole = format!("{element}{rest}");
            let told = [
                "autocomplete=\"current-password\"",
                "autocomplete=\"new-password\"",
            ];
            assert!(told.iter().any(|it| whole.contains(it)), "{name}: {whole}");
            fields += 1;
        }
    }
    assert!(fields >= 7, "{fields}");
}

#[test]
fn types_are_strict_and_comparisons_too() {
    let config = read(format!("{APP}/tsconfig.json"));
    for rule in ["\"strict\": true", "\"noUncheckedIndexedAccess\": true"] {
        assert!(config.contains(rule), "{rule}");
    }
    let loose = [
        " == ",
        " != ",
        "as any",
        ": any",
        "@ts-ignore",
        "@ts-nocheck",
        "eval(",
        "new Function",
    ];
    let scripts: Vec<_> = dashboard()
        .into_iter()
        .filter(|source| source.name.ends_with(".ts") || source.name.ends_with(".tsx"))
        .filter(|source| !source.name.ends_with("api/schema.ts"))
        .collect();
    for word in loose {
        assert_eq!(holding(&scripts, &[word]), set([]), "{word}");
    }
}

#[test]
fn no_name_that_somebody_chose_becomes_a_member_of_a_shared_object() {
    let scripts = dashboard();
    let words = [
        "__proto__",
        ".prototype",
        "setPrototypeOf",
        "defineProperty",
    ];
    assert_eq!(holding(&scripts, &words), set([]));
    // A copy of a text field's own looks, by names that stand in the file.
    let styles = set(["dashboard/app/src/ui/variables.tsx"]);
    assert_eq!(holding(&scripts, &["Object.assign("]), styles);
    let assigning = scripts.iter().filter(|it| assigns_member(&it.text));
    let assigning: BTreeSet<_> = assigning.map(|it| it.name.as_str()).collect();
    assert_eq!(assigning, styles);
}

/// Whether a member is assigned by a name that is computed: `object[name] = …`.
fn assigns_member(script: &str) -> bool {
    script.match_indices("] = ").any(|(at, _)| {
        let before = &script[..at];
        let open = before.rfind('[').unwrap_or(0);
        let object = before[..open].chars().next_back();
        let named = object.is_some_and(|c| c.is_alphanumeric() || "_)].".contains(c));
        named && open + 1 < at
    })
}

#[test]
fn the_dashboard_is_built_for_current_browsers_of_supported_parts() {
    let package: serde_json::Value =
        serde_json::from_str(&read(format!("{APP}/package.json"))).expect("JSON");
    for name in ["react", "react-dom"] {
        let version = package["dependencies"][name].as_str().unwrap_or_default();
        let major: u32 = version
            .split('.')
            .next()
            .unwrap_or_default()
            .parse()
            .unwrap_or(0);
        assert!(major >= 19, "{name} {version}");
    }
    assert!(read(format!("{APP}/vite.config.ts")).contains("target: \"es2022\""));
    let plugins = [
        "<object",
        "<embed",
        "<applet",
        "ActiveXObject",
        "navigator.plugins",
    ];
    assert_eq!(holding(&dashboard(), &plugins), set([]));
    assert!(!texts(&METADATA["workspace_members"]).is_empty());
}
