//! What every image recipe keeps to.

use std::collections::BTreeSet;
use std::path::Path;

use crate::variables::VARIABLES;
use crate::workspace::{programs, read, root};

/// One instruction of a recipe: its keyword and the rest, continued lines joined.
type Instruction = (String, String);

fn recipe(name: &str) -> Vec<Instruction> {
    let mut joined = String::new();
    for line in read(format!("Dockerfile.{name}")).lines() {
        if line.trim_start().starts_with('#') {
            continue;
        }
        match line.strip_suffix('\\') {
            Some(part) => joined.push_str(part),
            None => {
                joined.push_str(line);
                joined.push('\n');
            }
        }
    }
    joined
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(keyword, rest)| (keyword.to_owned(), rest.trim().to_owned()))
        .collect()
}

/// The instructions of the last stage, which is the image.
fn image(name: &str) -> Vec<Instruction> {
    let recipe = recipe(name);
    let last = recipe.iter().rposition(|(keyword, _)| keyword == "FROM");
    recipe[last.expect("a recipe has a stage")..].to_vec()
}

fn only<'a>(image: &'a [Instruction], keyword: &str) -> &'a str {
    let mut found = image.iter().filter(|(word, _)| word == keyword);
    let (_, rest) = found.next().unwrap_or_else(|| panic!("no {keyword}"));
    assert!(found.next().is_none(), "more than one {keyword}");
    rest
}

/// The names after `Dockerfile.` in the top folder.
pub(crate) fn recipes() -> BTreeSet<String> {
    std::fs::read_dir(root())
        .expect("the top folder can be read")
        .flatten()
        .filter_map(|entry| {
            Some(
                entry
                    .file_name()
                    .to_str()?
                    .strip_prefix("Dockerfile.")?
                    .to_owned(),
            )
        })
        .collect()
}

#[test]
fn every_program_has_a_recipe() {
    assert_eq!(recipes(), programs());
}

#[test]
fn an_image_is_a_program_without_shell_root_or_anything_to_write() {
    for name in recipes() {
        let image = image(&name);
        assert_eq!(only(&image, "FROM"), "scratch", "{name}");
        assert_eq!(only(&image, "USER"), "65532:65532", "{name}");
        let entry = format!("[\"/usr/local/bin/{name}\"]");
        assert_eq!(only(&image, "ENTRYPOINT"), entry, "{name}");
        assert!(only(&image, "LABEL").contains(&format!("title=\"clarion-{name}\"")));
        assert!(image.iter().all(|(keyword, _)| keyword != "RUN"), "{name}");
        let health = only(&image, "HEALTHCHECK");
        match name.as_str() {
            "clarion" => assert_eq!(health, "NONE"),
            _ => assert!(
                health.ends_with(&format!("CMD [\"/usr/local/bin/{name}\", \"health\"]")),
                "{name}: {health}"
            ),
        }
    }
}

#[test]
fn what_is_copied_exists() {
    let ignored = read(".dockerignore");
    for name in recipes() {
        let mut stages = BTreeSet::new();
        for (keyword, rest) in recipe(&name) {
            let words: Vec<_> = rest.split_whitespace().collect();
            match keyword.as_str() {
                "FROM" => {
                    if let [_, "AS", stage] = words[..] {
                        stages.insert(stage.to_owned());
                    }
                }
                "COPY" => copied(&name, &words, &stages, &ignored),
                _ => {}
            }
        }
    }
}

fn copied(name: &str, words: &[&str], stages: &BTreeSet<String>, ignored: &str) {
    if let Some(stage) = words.iter().find_map(|word| word.strip_prefix("--from=")) {
        assert!(
            stages.contains(stage),
            "{name} copies from no stage: {stage}"
        );
        return;
    }
    let paths: Vec<_> = words
        .iter()
        .filter(|word| !word.starts_with("--"))
        .collect();
    for source in &paths[..paths.len() - 1] {
        assert!(root().join(source).exists(), "{name} copies {source}");
        let first = Path::new(source).iter().next().unwrap_or_default();
        let allowed = format!("!{}", first.to_string_lossy());
        assert!(
            ignored.lines().any(|line| line == allowed),
            "{source} is ignored"
        );
    }
}

#[test]
fn recipes_share_the_stages_that_compile() {
    let compiling = |name: &String| -> Vec<Instruction> {
        let recipe = recipe(name);
        let end = recipe
            .iter()
            .position(|(_, rest)| rest.ends_with("AS rootfs"));
        recipe[..end.expect("a stage named rootfs")].to_vec()
    };
    let all = recipes();
    let first = all.first().expect("there are recipes");
    for name in &all {
        assert_eq!(compiling(name), compiling(first), "{name} and {first}");
    }
}

#[test]
fn recipes_need_no_new_builder_and_the_right_compiler() {
    let toolchain = read("rust-toolchain.toml");
    for name in recipes() {
        for (keyword, rest) in recipe(&name) {
            assert!(
                !rest.contains("<<"),
                "{name}: an older builder reads no {keyword} <<"
            );
            if let Some((_, tag)) = rest.split_once("rust:").filter(|_| keyword == "FROM") {
                let version = tag.split('-').next().unwrap_or_default();
                assert!(
                    toolchain.contains(&format!("\"{version}.")),
                    "{name}: rust {version}"
                );
            }
        }
    }
}

#[test]
fn a_recipe_sets_only_variables_that_are_read() {
    for name in recipes() {
        for (_, rest) in recipe(&name).iter().filter(|(keyword, _)| keyword == "ENV") {
            for (variable, _) in rest
                .split_whitespace()
                .filter_map(|pair| pair.split_once('='))
            {
                assert!(
                    VARIABLES.known.contains(variable),
                    "{name}: nobody reads {variable}"
                );
            }
        }
    }
}
