//! `common ← chassis ← services ← clarion`, licences, and one version of each library.

use std::collections::{BTreeMap, BTreeSet};

use crate::workspace::{METADATA, cargo, items, members, read, texts};

/// Licences that may be shipped in a product under Apache-2.0 without further ado.
const LICENCES: [&str; 14] = [
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// What a crate of the house may build on.
fn allowed(crate_name: &str, house: &BTreeSet<&str>) -> Vec<String> {
    let named = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    match crate_name {
        "common" | "dashboard" | "laptop" | "mailbox" => Vec::new(),
        "content" | "mail" | "chassis" => named(&["common"]),
        "testkit" => named(&["common", "chassis", "laptop"]),
        // What it serves at `/` is compiled into it.
        "gateway" => named(&["common", "chassis", "dashboard"]),
        // It holds everything together; only tests hold it.
        "clarion" => house
            .iter()
            .filter(|name| !["clarion", "testkit"].contains(name))
            .map(ToString::to_string)
            .collect(),
        _ => named(&["common", "chassis", "content", "mail"]),
    }
}

#[test]
fn knowledge_flows_one_way() {
    let house: BTreeSet<_> = members()
        .iter()
        .filter_map(|package| package["name"].as_str())
        .collect();
    for package in members() {
        let name = package["name"].as_str().expect("a package has a name");
        let mut allowed = allowed(name, &house);
        for dependency in items(&package["dependencies"]) {
            let other = dependency["name"].as_str().unwrap_or_default();
            if !house.contains(other) {
                continue;
            }
            if dependency["kind"] == "dev" {
                allowed.extend(["testkit", "laptop", "mailbox"].map(str::to_owned));
            }
            assert!(
                allowed.iter().any(|allowed| allowed == other),
                "{name} must not depend on {other}"
            );
        }
    }
}

#[test]
fn every_licence_is_permissive() {
    let refused: Vec<_> = items(&METADATA["packages"])
        .filter(|package| !permissive(package["license"].as_str().unwrap_or("none")))
        .map(|package| format!("{} ({})", package["name"], package["license"]))
        .collect();
    assert!(refused.is_empty(), "{refused:?}");
}

/// Whether an SPDX expression can be met by licences of the list.
fn permissive(expression: &str) -> bool {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let mut words: Vec<&str> = spaced.split_whitespace().rev().collect();
    let met = any_of(&mut words);
    met && words.is_empty()
}

fn any_of(words: &mut Vec<&str>) -> bool {
    let mut met = all_of(words);
    while words.last() == Some(&"OR") {
        words.pop();
        // Both sides are read, whatever the first says.
        met = all_of(words) || met;
    }
    met
}

fn all_of(words: &mut Vec<&str>) -> bool {
    let mut met = one(words);
    while words.last() == Some(&"AND") {
        words.pop();
        met = one(words) && met;
    }
    met
}

fn one(words: &mut Vec<&str>) -> bool {
    let met = match words.pop() {
        Some("(") => {
            let met = any_of(words);
            met && words.pop() == Some(")")
        }
        Some(licence) => LICENCES.contains(&licence),
        None => false,
    };
    if words.last() == Some(&"WITH") {
        // An exception only ever permits more.
        words.truncate(words.len() - 2);
    }
    met
}

#[test]
fn a_licence_expression_is_met_by_one_side_of_an_or_and_both_of_an_and() {
    for good in [
        "MIT",
        "MIT/Apache-2.0",
        "GPL-3.0 OR MIT",
        "(MIT OR GPL-3.0) AND Unicode-3.0",
        "Apache-2.0 WITH LLVM-exception",
        "Apache-2.0 WITH LLVM-exception OR GPL-2.0",
    ] {
        assert!(permissive(good), "{good}");
    }
    for bad in ["", "none", "GPL-3.0", "MIT AND GPL-3.0", "MIT MIT", "(MIT"] {
        assert!(!permissive(bad), "{bad}");
    }
}

#[test]
fn there_is_one_version_of_each_important_library() {
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in items(&METADATA["packages"]) {
        let [name, version] = ["name", "version"].map(|key| package[key].as_str().unwrap_or(""));
        versions.entry(name).or_default().push(version);
    }
    for name in [
        "actix-web",
        "deadpool-redis",
        "diesel",
        "hyper",
        "jsonwebtoken",
        "lettre",
        "prometheus",
        "redis",
        "reqwest",
        "rustls",
        "serde",
        "tokio",
        "tracing",
        "utoipa",
    ] {
        let found = versions.get(name).map_or(0, Vec::len);
        assert_eq!(found, 1, "{name}: {:?}", versions.get(name));
    }
}

#[test]
fn cryptography_is_aws_lc_alone() {
    // The tree knows which features are in use; the metadata names what could be.
    let tree = cargo(&[
        "tree",
        "--workspace",
        "--locked",
        "--prefix=none",
        "--format={p}",
    ]);
    let built: BTreeSet<_> = tree
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(built.contains("aws-lc-rs"), "the tree is read wrongly");
    for other in ["ring", "openssl", "openssl-sys", "native-tls", "boring"] {
        assert!(!built.contains(other), "{other} is linked; who needs it?");
    }
}

#[test]
fn every_crate_takes_versions_and_lints_from_the_workspace() {
    for package in members() {
        let name = package["name"].as_str().expect("a package has a name");
        let manifest = read(format!("crates/{name}/Cargo.toml"));
        assert!(
            manifest.contains("[lints]\nworkspace = true"),
            "{name} does not take the workspace's lints"
        );
        let mut section = "";
        for line in manifest.lines().filter(|line| !line.trim().is_empty()) {
            if line.starts_with('[') {
                section = line;
            } else if section.ends_with("dependencies]") && !line.starts_with('#') {
                assert!(
                    line.contains("workspace = true"),
                    "{name} names a version of its own: {line}"
                );
            }
        }
    }
}

#[test]
fn every_crate_says_what_it_is() {
    for package in members() {
        let name = package["name"].as_str().expect("a package has a name");
        let lines = read(format!("crates/{name}/README.md")).lines().count();
        assert!(lines >= 3, "crates/{name}/README.md says nothing");
        assert_eq!(texts(&package["license"]), ["Apache-2.0"], "{name}");
    }
}
