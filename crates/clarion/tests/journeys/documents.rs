//! The document of the API, as the validators of others see it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::platform::Launch;

/// <https://pypi.org/project/openapi-spec-validator/>
const VALIDATOR: &str = "openapi-spec-validator==0.9.0";
/// <https://www.npmjs.com/package/@redocly/cli>
const LINTER: &str = "@redocly/cli@2.77.0";

#[tokio::test(flavor = "multi_thread")]
async fn validators_of_others_find_no_error_in_the_document() {
    let folder = tempfile::tempdir().expect("a folder");
    let platform = Launch::in_folder(folder.path()).start();
    let document = testkit::Client::new(&platform.url, None)
        .get("/api/v1/openapi.json")
        .send()
        .await
        .assert_status(200);
    let file = folder.path().join("openapi.json");
    std::fs::write(&file, document.text()).expect("a new file");
    ran(Command::new(validator()).arg(&file));
    let rules = folder.path().join("redocly.yaml");
    std::fs::write(&rules, "extends: [recommended]\n").expect("a new file");
    let mut lint = Command::new(linter());
    lint.arg("lint").arg(&file).arg("--config").arg(&rules);
    ran(lint.env("REDOCLY_TELEMETRY", "off"));
}

/// Installed once per target folder.
fn installed(name: &str, version: &str, install: impl FnOnce(&Path)) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let done = folder.join("installed");
    if std::fs::read_to_string(&done).ok().as_deref() != Some(version) {
        std::fs::create_dir_all(&folder).expect("a new folder");
        install(&folder);
        std::fs::write(done, version).expect("the folder can be written");
    }
    folder
}

fn validator() -> PathBuf {
    let folder = installed("openapi-spec-validator", VALIDATOR, |folder| {
        let mut venv = Command::new("python3");
        ran(venv.args(["-m", "venv", "--clear"]).arg(folder));
        let mut pip = Command::new(folder.join("bin/python"));
        ran(pip.args(["-m", "pip", "install", "--quiet", VALIDATOR]));
    });
    folder.join("bin/openapi-spec-validator")
}

fn linter() -> PathBuf {
    let folder = installed("redocly", LINTER, |folder| {
        std::fs::write(folder.join("package.json"), "{}").expect("a new file");
        let mut npm = Command::new("npm");
        npm.args(["install", "--silent", "--no-audit", "--no-fund", LINTER]);
        ran(npm.current_dir(folder));
    });
    folder.join("node_modules/.bin/redocly")
}

fn ran(command: &mut Command) -> Output {
    let output = command.output().expect("it can be run");
    let (said, told) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    let program = command.get_program();
    assert!(
        output.status.success(),
        "{program:?}: {said:.4000} {told:.2000}"
    );
    output
}
