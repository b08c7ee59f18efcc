//! The dashboard in a real browser, against the real binary.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use testkit::OidcProvider;

use crate::platform::Launch;

/// The folder of the app.
fn app() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../dashboard/app")
}

/// Builds the app, unless that was done: an unoptimised binary reads its files from the disk.
fn build() {
    let script = app().join("../../../deploy/setup/dashboard.sh");
    let built = Command::new(script).status().expect("the script runs");
    assert!(built.success() && app().join("dist/index.html").is_file());
}

/// Runs one story in Chromium on a platform of its own.
fn browse(story: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    browse_on(story, Launch::in_folder(folder.path()), None);
}

/// Runs one story on a platform of these settings, which may send browsers to another site.
fn browse_on(story: &str, launch: Launch, elsewhere: Option<&str>) {
    build();
    let platform = launch.start();
    let output = Command::new("node")
        .arg(app().join(format!("tests/browser/{story}.mjs")))
        .arg(&platform.url)
        .args(elsewhere)
        .output()
        .expect("node runs");
    assert!(
        output.status.success(),
        "{story}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn the_main_job_is_done_by_clicking_alone() {
    browse("main-job");
}

#[test]
fn nothing_that_was_typed_is_lost() {
    browse("drafts");
}

#[test]
fn a_form_is_made_put_on_a_page_and_answered() {
    browse("forms");
}

#[test]
fn every_screen_stands_hostile_data_both_themes_and_a_phone() {
    browse("screens");
}

#[test]
fn people_come_and_go_with_what_they_may_do_and_all_of_it_is_on_record() {
    browse("people");
}

#[test]
fn another_provider_is_linked_signs_in_and_is_removed() {
    let (folder, provider) = (
        tempfile::tempdir().expect("a folder"),
        OidcProvider::start(),
    );
    let issuer = provider.issuer();
    let launch = Launch::in_folder(folder.path())
        .with("IDENTITY_OIDC_ISSUER", &issuer)
        .with("IDENTITY_OIDC_CLIENT_ID", OidcProvider::CLIENT_ID)
        .with("IDENTITY_OIDC_CLIENT_SECRET", OidcProvider::CLIENT_SECRET)
        .with("IDENTITY_OIDC_NAME", "Example ID");
    browse_on("provider", launch, Some(&issuer));
}

#[test]
fn what_happened_is_shown_live_and_can_be_shared() {
    browse("analytics");
}

#[test]
fn templates_are_written_and_keys_renewed() {
    browse("sending");
}

#[test]
fn hostile_text_in_any_field_never_runs() {
    browse("hostile");
}

/// The client is generated from this file, which `npm run check` in `codegen` compares.
#[tokio::test(flavor = "multi_thread")]
async fn the_client_of_the_dashboard_knows_the_api_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let platform = Launch::in_folder(folder.path()).start();
    let mut document: Value = testkit::Client::new(&platform.url, None)
        .get("/api/v1/openapi.json")
        .send()
        .await
        .assert_status(200)
        .json();
    let members = document.as_object_mut().expect("an object");
    // Where it runs is another place each time.
    members.remove("servers");
    assert!(!members.contains_key("x-missing"));
    let file = app().join("openapi.json");
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        let text = serde_json::to_string_pretty(&document).expect("it can be written");
        std::fs::write(&file, text + "\n").expect("the file can be written");
    }
    let kept = std::fs::read_to_string(&file).expect("the file can be read");
    let kept: Value = serde_json::from_str(&kept).expect("it is JSON");
    assert!(
        kept == document,
        "{} is stale: run this test with UPDATE_OPENAPI=1, then `npm run generate` beside it",
        file.display()
    );
}
