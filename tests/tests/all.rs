//! End-to-end tests on the real binary and real git.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests must fail where they stand; clippy only knows functions marked as tests"
)]

mod approvals;
mod bad_input;
mod central_logs;
mod crash;
mod document_002;
mod forge;
mod lab;
mod newcomer;
mod support;

/// A file that no `mod` names would never run.
#[test]
fn no_file_is_forgotten() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let check = |folder: &std::path::Path, root: &str| {
        let text = std::fs::read_to_string(folder.join(root)).unwrap();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap();
            let is_module = path.join("mod.rs").is_file() || path.extension().is_some_and(|end| end == "rs");
            if is_module && !path.ends_with(root) {
                assert!(text.contains(&format!("mod {name};")), "{} is in no module", path.display());
            }
        }
    };
    check(&folder, "all.rs");
    check(&folder.join("crash"), "mod.rs");
    check(&folder.join("lab"), "mod.rs");
}
