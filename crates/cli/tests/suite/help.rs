//! The help of every command, as people read it.

use clap::CommandFactory as _;
use windlass_cli::cli::Cli;
use windlass_testkit::repo::RepoBuilder;

use crate::support::windlass;

#[test]
fn the_help_of_every_command() {
    let mut command = Cli::command().term_width(100);
    command.build();
    let mut names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    names.sort();
    insta::assert_snapshot!("help", command.render_help().to_string());
    for name in names {
        let sub = command.find_subcommand_mut(&name).unwrap();
        insta::assert_snapshot!(format!("help-{name}"), sub.render_long_help().to_string());
    }
}

#[test]
fn arguments_are_checked_by_clap() {
    Cli::command().debug_assert();
}

#[test]
fn version_completions_and_manual() {
    let repo = RepoBuilder::new();
    let ran = windlass(&repo, &["--version"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, concat!("windlass ", env!("CARGO_PKG_VERSION"), "\n")));
    for shell in ["bash", "zsh", "fish"] {
        let ran = windlass(&repo, &["completions", shell]);
        assert!(ran.code == 0 && ran.out.contains("windlass"), "{shell}");
    }
    let folder = repo.outside().join("man").display().to_string();
    assert_eq!(windlass(&repo, &["man", "--out", &folder]).code, 0);
    assert!(std::fs::read_to_string(format!("{folder}/windlass-plan.1")).unwrap().contains(".TH"));
}

#[test]
fn usage_errors_are_exit_code_2_and_json_on_request() {
    let repo = RepoBuilder::new();
    let ran = windlass(&repo, &["plna"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("unrecognized subcommand 'plna'") && ran.out.is_empty());
    let json = windlass(&repo, &["plna", "--json"]).json();
    assert_eq!(json["schema"], "windlass/error/1");
    assert_eq!(json["exit"], 2);
}
