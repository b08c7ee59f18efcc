//! The workspace as its files and cargo describe it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;

/// What cargo knows of every package that is built here, on this machine's platform.
pub(crate) static METADATA: LazyLock<Value> = LazyLock::new(|| {
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let answer = cargo(&[
        "metadata",
        "--format-version=1",
        "--locked",
        "--filter-platform",
        &platform,
    ]);
    serde_json::from_str(&answer).expect("cargo writes JSON")
});

/// What cargo answers in this workspace.
pub(crate) fn cargo(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO"));
    let output = command.args(arguments).current_dir(root()).output();
    let output = output.expect("cargo runs");
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// The top folder of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("crates/testkit lies two folders deep")
        .to_owned()
}

/// A file of the repository.
pub(crate) fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A YAML file of the repository, its anchors and merges resolved.
pub(crate) fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The elements of a JSON array; none when it is absent.
pub(crate) fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The texts in a JSON array, or the one that stands in its place.
pub(crate) fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        other => items(other).filter_map(Value::as_str).collect(),
    }
}

/// The keys of a JSON object; none when it is absent.
pub(crate) fn keys(value: &Value) -> Vec<&str> {
    let members = value.as_object().into_iter().flatten();
    members.map(|(key, _)| key.as_str()).collect()
}

/// The packages of this workspace.
pub(crate) fn members() -> Vec<&'static Value> {
    let inside: BTreeSet<_> = texts(&METADATA["workspace_members"]).into_iter().collect();
    items(&METADATA["packages"])
        .filter(|package| package["id"].as_str().is_some_and(|id| inside.contains(id)))
        .collect()
}

/// The crates that are programs: each has an image of its own.
pub(crate) fn programs() -> BTreeSet<String> {
    let is_program = |package: &&Value| {
        items(&package["targets"]).any(|target| texts(&target["kind"]).contains(&"bin"))
    };
    members()
        .into_iter()
        .filter(is_program)
        .filter_map(|package| package["name"].as_str().map(str::to_owned))
        .collect()
}

/// The programs that are services of the platform.
pub(crate) fn services() -> BTreeSet<String> {
    let mut services = programs();
    services.remove("clarion");
    services.remove("mailbox");
    services
}

/// Every file below `folder` whose name ends in `ending`.
pub(crate) fn files_below(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_below(&path, ending));
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}
