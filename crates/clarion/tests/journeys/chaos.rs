//! `clarion chaos`, small: three fixed seeds.

use std::process::Command;

/// Runs it and reads its account.
fn account(seed: u64) -> serde_json::Value {
    let seed = seed.to_string();
    let run = Command::new(env!("CARGO_BIN_EXE_clarion"))
        .args(["chaos", "--json", "--messages", "600", "--faults", "8"])
        .args(["--seed", &seed])
        .output()
        .expect("the binary starts");
    let told = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(run.status.success(), "{told}");
    serde_json::from_slice(&run.stdout).unwrap_or_else(|error| panic!("{error}: {told}"))
}

fn nobody_is_lost_or_doubled(seed: u64) {
    let account = account(seed);
    assert_eq!(account["faults"], 8, "{account}");
    for nothing in ["lost", "duplicates", "unaccounted"] {
        assert_eq!(account[nothing], 0, "{account}");
    }
    let outcomes = account["outcomes"].as_object().expect("outcomes");
    let named: u64 = outcomes.values().filter_map(|count| count.as_u64()).sum();
    assert_eq!(named, 600, "{account}");
}

#[test]
fn chaos_of_the_first_seed_is_accounted_for() {
    nobody_is_lost_or_doubled(1);
}

#[test]
fn chaos_of_the_second_seed_is_accounted_for() {
    nobody_is_lost_or_doubled(2);
}

#[test]
fn chaos_of_the_third_seed_is_accounted_for() {
    nobody_is_lost_or_doubled(3);
}
