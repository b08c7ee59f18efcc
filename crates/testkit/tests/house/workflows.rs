//! The workflows build what there is, within bounds.

use std::collections::BTreeSet;

use crate::images::recipes;
use crate::workspace::{items, root, texts, yaml};

#[test]
fn every_image_is_built() {
    let workflow = yaml(".github/workflows/images.yml");
    let matrix = &workflow["jobs"]["image"]["strategy"]["matrix"]["service"];
    let built: BTreeSet<_> = texts(matrix).into_iter().map(str::to_owned).collect();
    assert_eq!(built, recipes());
}

#[test]
fn tests_run_as_they_do_anywhere() {
    let workflow = yaml(".github/workflows/test.yml");
    for (name, job) in workflow["jobs"].as_object().into_iter().flatten() {
        let runs = items(&job["steps"]).filter_map(|step| step["run"].as_str());
        assert_eq!(runs.last(), Some(".ci/run"), "{name}");
    }
    assert!(root().join(".ci/run").is_file());
}

#[test]
fn jobs_end_and_may_only_read() {
    for file in ["test.yml", "images.yml"] {
        let workflow = yaml(&format!(".github/workflows/{file}"));
        assert_eq!(workflow["permissions"]["contents"], "read", "{file}");
        for (name, job) in workflow["jobs"].as_object().into_iter().flatten() {
            assert!(
                job["timeout-minutes"].is_u64(),
                "{file}: {name} may run for ever"
            );
        }
    }
}
