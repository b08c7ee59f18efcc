//! The scripts that people and CI run first.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use crate::workspace::{read, root, text};

/// A folder with a program `name` in it that runs `script`.
fn stand_in(name: &str, script: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join(name);
    std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).expect("a new file");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).expect("one's own file");
    folder
}

fn run(program: &str, first: &Path) -> Output {
    let path = std::env::var("PATH").unwrap_or_default();
    Command::new(root().join(program))
        .env("PATH", format!("{}:{path}", first.display()))
        .output()
        .expect("the script runs")
}

/// Runs `.ci/run` with `make` replaced; its last line, and whether it succeeded.
fn ci(make: &str) -> (String, bool) {
    let folder = stand_in("make", make);
    let output = run(".ci/run", folder.path());
    let out = text(&output.stdout);
    let last = out.lines().last().unwrap_or_default().to_owned();
    (last, output.status.success())
}

#[test]
fn ci_sums_up_what_cargo_says() {
    let results = "echo 'test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured'; \
         echo 'test result: ok. 30 passed; 0 failed; 0 ignored; 0 measured'";
    assert_eq!(ci(results), ("42 passed, 0 failed".to_owned(), true));
}

#[test]
fn ci_fails_with_the_tests() {
    let results = "echo 'test result: FAILED. 3 passed; 2 failed; 0 ignored'; exit 2";
    assert_eq!(ci(results), ("3 passed, 2 failed".to_owned(), false));
}

#[test]
fn ci_fails_when_nothing_ran_or_make_did_not_get_that_far() {
    assert_eq!(ci("exit 0"), ("0 passed, 0 failed".to_owned(), false));
    let broken = "echo 'test result: ok. 3 passed; 0 failed; 0 ignored'; exit 2";
    assert_eq!(ci(broken), ("3 passed, 0 failed".to_owned(), false));
}

#[test]
fn an_unprivileged_user_is_told_what_to_install() {
    // Nothing is missing here, so the script is shown a machine without programs.
    let folder = stand_in("id", "echo 1000");
    std::os::unix::fs::symlink("/usr/bin/env", folder.path().join("apt-get")).expect("a new link");
    let tools = ["sh", "tr", "env"].map(|tool| format!("/usr/bin/{tool}"));
    for tool in tools {
        let name = Path::new(&tool).file_name().expect("a name");
        std::os::unix::fs::symlink(&tool, folder.path().join(name)).expect("a new link");
    }
    let output = Command::new("/bin/sh")
        .arg(root().join("deploy/setup/packages.sh"))
        .env("PATH", folder.path())
        .output()
        .expect("the script runs");
    let error = text(&output.stderr);
    assert!(!output.status.success());
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(
        error.starts_with("setup: please install as root: apt-get install "),
        "{error}"
    );
    assert!(error.contains(" libpq-dev"), "{error}");
}

#[test]
fn without_node_the_dashboard_is_left_out_in_one_line() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for tool in ["sh", "dirname"] {
        let program = Path::new("/usr/bin").join(tool);
        std::os::unix::fs::symlink(program, folder.path().join(tool)).expect("a new link");
    }
    let script = |arguments: &[&str]| {
        let output = Command::new("/bin/sh")
            .arg(root().join("deploy/setup/dashboard.sh"))
            .args(arguments)
            .env("PATH", folder.path())
            .output()
            .expect("the script runs");
        (output.status.success(), text(&output.stderr))
    };
    let (succeeded, said) = script(&[]);
    assert!(succeeded && said.lines().count() == 1, "{said}");
    assert!(said.contains("the API is served alone"), "{said}");
    let (checked, said) = script(&["check"]);
    assert!(!checked && said.contains("Node.js"), "{said}");
}

#[test]
fn only_a_data_folder_of_clarion_is_deleted() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let clean = || {
        Command::new(root().join("deploy/setup/clean-data.sh"))
            .env("CLARION_DATA_DIR", folder.path())
            .output()
            .expect("the script runs")
    };
    let refused = clean();
    assert!(!refused.status.success() && folder.path().exists());
    assert!(text(&refused.stderr).contains("is not a data folder of Clarion"));

    let postgres = folder.path().join("postgres");
    std::fs::create_dir(&postgres).expect("a new folder");
    let lock = postgres.join("postmaster.pid");
    std::fs::write(&lock, format!("{}\n", std::process::id())).expect("a new file");
    assert!(text(&clean().stderr).contains("is in use"));

    std::fs::remove_file(lock).expect("it exists");
    assert!(clean().status.success() && !folder.path().exists());
}

#[test]
fn every_target_of_make_is_explained() {
    let makefile = read("Makefile");
    for target in [
        "up",
        "test",
        "demo",
        "bench",
        "bench-gateway",
        "fuzz",
        "migrate",
        "lint",
        "fmt",
        "clean-data",
        "screenshots",
        "help",
    ] {
        let explained = makefile
            .lines()
            .any(|line| line.starts_with(&format!("{target}:")) && line.contains(" ## "));
        assert!(explained, "make {target}");
    }
}
