//! The workflows build what there is, within bounds.

use std::collections::BTreeSet;

use crate::images::recipes;
use crate::workspace::{files_below, items, root, texts, yaml};

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
    for file in ["test.yml", "images.yml", "dependencies.yml"] {
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

#[test]
fn what_we_build_on_is_looked_up_every_night() {
    let workflow = yaml(".github/workflows/dependencies.yml");
    assert!(workflow["on"]["schedule"][0]["cron"].is_string());
    let jobs = workflow["jobs"].as_object().into_iter().flatten();
    let steps = jobs.flat_map(|(_, job)| items(&job["steps"]));
    let runs: Vec<_> = steps.filter_map(|step| step["run"].as_str()).collect();
    assert!(runs.contains(&"cargo audit --deny warnings"), "{runs:?}");
    for lock in files_below(&root().join("crates"), "package-lock.json") {
        if lock
            .components()
            .any(|part| part.as_os_str() == "node_modules")
        {
            continue;
        }
        let folder = lock.parent().and_then(|it| it.strip_prefix(root()).ok());
        let folder = folder.expect("it is in a folder of ours").display();
        let audit = format!("npm --prefix {folder} audit --audit-level=low");
        assert!(runs.contains(&audit.as_str()), "{audit}");
    }
    let images = yaml(".github/workflows/images.yml");
    assert!(images["on"]["schedule"][0]["cron"].is_string());
}
