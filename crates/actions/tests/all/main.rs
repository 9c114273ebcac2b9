//! The actions on real repositories, real keys and a real server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests are tests")]

mod adoption;
mod colours;
mod conformance;
mod database;
mod deploy;
mod example;
mod files;
mod forges;
mod git;
mod grafana;
mod hosts;
mod http;
mod images;
mod metrics;
mod pages;
mod proxies;
mod reads;
mod registry;
mod script;
mod server;
mod signing;
mod standin;
mod stores;
mod strategies;
mod switching;
mod withdrawing;
mod world;

#[test]
fn no_file_is_forgotten() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/all");
    let listed = include_str!("main.rs");
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let module = name.strip_suffix(".rs").unwrap_or(&name);
        assert!(module == "main" || listed.contains(&format!("mod {module};")), "{name} is not in main.rs");
    }
}

#[test]
fn contributing_shows_the_example_as_it_is() {
    let contributing = include_str!("../../../../CONTRIBUTING.md");
    assert!(contributing.contains(include_str!("example.rs")), "CONTRIBUTING.md shows another example.rs");
}
