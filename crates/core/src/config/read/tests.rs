//! What the reader of the configuration takes, and every mistake it finds.

use super::*;
use crate::diagnostic::line_and_column;

#[test]
fn a_whole_configuration_is_read() {
    let (config, findings) = Config::parse(
        r#"
[project]
name = "demo"
[version]
tag = "release-{version}"
holders = ["Cargo.toml", { path = "doc/x.md", pattern = 'Version: (.*)' }]
initial_development = false
hotfix_suffix = true
rules = { feat = "minor", docs = "none" }
withdrawn = ["v1.1.0", "1.2.0-rc.1"]
[git]
remote = "upstream"
branch = "trunk"
sign = "ssh"
annotate = false
[changelog]
path = "docs/CHANGELOG.md"
[roles]
release-manager = ["alice@example.com", "bob"]
[environments.production]
url = "https://example.com"
health = "/health"
[secrets]
TOKEN = { env = "CI_TOKEN" }
KEY = { file = "~/.keys/release" }
"#,
    );
    assert_eq!(findings, []);
    assert_eq!(config.project.name.as_deref(), Some("demo"));
    assert_eq!(config.version.tag, "release-{version}");
    let holders: Vec<_> =
        config.version.holders.iter().map(|holder| (holder.path(), holder.pattern())).collect();
    assert_eq!(holders, [("Cargo.toml", None), ("doc/x.md", Some("Version: (.*)"))]);
    assert!(!config.version.initial_development && config.version.hotfix_suffix && !config.git.annotate);
    assert_eq!(config.version.rules["docs"], "none");
    assert_eq!(config.version.withdrawn, ["v1.1.0", "1.2.0-rc.1"]);
    assert_eq!((config.git.remote.as_str(), config.git.sign), ("upstream", Sign::Ssh));
    assert_eq!(config.changelog.path, "docs/CHANGELOG.md");
    assert_eq!(config.roles["release-manager"], ["alice@example.com", "bob"]);
    assert_eq!(config.environments["production"].health.as_deref(), Some("/health"));
    assert_eq!(config.secrets["TOKEN"], Secret::Env(EnvSecret { env: "CI_TOKEN".into() }));
}

#[test]
fn nothing_written_is_sensible() {
    let (config, findings) = Config::parse("");
    assert_eq!((config, findings), (Config::default(), Vec::new()));
    assert_eq!(Config::default().version.tag, "v{version}");
    assert_eq!(Config::default().git.branch, "main");
}

#[test]
fn every_mistake_is_found_at_its_place() {
    let source = r#"[versoin]
[version]
tagg = "v"
tag = 3
holders = ["/etc/passwd", 4, { pattern = "(" }, { path = "a", patern = "x" }]
rules = { feat = "minr" }
initial_development = "yes"
withdrawn = ["1.1"]
[git]
sign = "gpgg"
remote = "--upload-pack=x"
[roles]
devops = "alice"
[environments.prod]
urll = "x"
[secrets]
TOKEN = "hunter2"
OTHER = {}
"#;
    let (config, findings) = Config::parse(source);
    let shown: Vec<String> = findings
        .iter()
        .map(|finding| {
            let span = finding.span.unwrap();
            let (line, column) = line_and_column(source, span.start);
            let help = finding.help.as_deref().filter(|help| help.starts_with("did")).unwrap_or("");
            format!("{line}:{column} {} {} {help}", finding.code, &source[span.start..span.end])
        })
        .collect();
    assert_eq!(
        shown,
        [
            "1:2 unknown-key versoin did you mean `version`?",
            "3:1 unknown-key tagg did you mean `tag`?",
            "4:7 wrong-type 3 ",
            "5:12 bad-value \"/etc/passwd\" ",
            "5:27 wrong-type 4 ",
            "5:42 bad-value \"(\" ",
            "5:63 unknown-key patern did you mean `pattern`?",
            "6:18 bad-value \"minr\" did you mean `minor`?",
            "7:23 wrong-type \"yes\" ",
            "8:13 bad-value [\"1.1\"] ",
            "10:8 bad-value \"gpgg\" did you mean `gpg`?",
            "11:10 bad-value \"--upload-pack=x\" ",
            "13:10 wrong-type \"alice\" ",
            "15:1 unknown-key urll did you mean `url`?",
            "17:9 wrong-type \"hunter2\" ",
            "18:9 bad-value {} ",
        ]
    );
    assert!(findings.iter().all(|finding| !finding.message.contains("hunter2")));
    assert_eq!(config.git, Git::default());
}

#[test]
fn tags_of_two_packages_are_told_apart() {
    for (source, expect) in [
        (
            "[packages.web]\npath = \"web\"\ntag = \"v{version}\"\n[packages.api]\npath = \"api\"\ntag = \"v{version}\"\n",
            "6:7 tags of `packages.api` (`v{version}`) and of `packages.web` (`v{version}`) cannot be told apart",
        ),
        (
            "[packages.web]\npath = \"web\"\n[packages.api]\npath = \"api\"\ntag = \"web-v{version}\"\n",
            "5:7 tags of `packages.api` (`web-v{version}`) and of `packages.web` (`web-v{version}`) cannot be told apart",
        ),
        (
            "[packages.api]\npath = \"api\"\ntag = \"web-v{version}\"\n[packages.web]\npath = \"web\"\n",
            "4:11 tags of `packages.web` (`web-v{version}`) and of `packages.api` (`web-v{version}`) cannot be told apart",
        ),
        // `1.2.3-web` is a pre-release of the other one.
        (
            "[packages.all]\npath = \".\"\ntag = \"{version}\"\n[packages.web]\npath = \"web\"\ntag = \"{version}-web\"\n",
            "6:7 tags of `packages.web` (`{version}-web`) and of `packages.all` (`{version}`) cannot be told apart",
        ),
        ("[packages.a]\npath = \"a\"\n[packages.b]\npath = \"b\"\ntag = \"v{version}\"\n", ""),
        // Who shares versions may share the tag, and nobody else.
        (
            "[packages.a]\npath = \"a\"\ntag = \"v{version}\"\nlinked = \"x\"\n\
             [packages.b]\npath = \"b\"\ntag = \"v{version}\"\nlinked = \"x\"\n",
            "",
        ),
        (
            "[packages.a]\npath = \"a\"\ntag = \"v{version}\"\nlinked = \"x\"\n\
             [packages.b]\npath = \"b\"\ntag = \"v{version}\"\nlinked = \"y\"\n",
            "7:7 tags of `packages.b` (`v{version}`) and of `packages.a` (`v{version}`) cannot be told apart",
        ),
        // The whole repository's format is of no package.
        ("[version]\ntag = \"v{version}\"\n[packages.b]\npath = \"b\"\ntag = \"v{version}\"\n", ""),
    ] {
        let (_, findings) = Config::parse(source);
        let shown: Vec<String> = findings
            .iter()
            .map(|finding| {
                let (line, column) = line_and_column(source, finding.span.unwrap().start);
                format!("{line}:{column} {}", finding.message)
            })
            .collect();
        assert_eq!(shown.join("\n"), expect, "{source}");
    }
}

#[test]
fn broken_toml_has_its_place() {
    let (config, findings) = Config::parse("[git]\nremote = \n");
    assert_eq!(config, Config::default());
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].code, "bad-toml");
    assert!(findings[0].span.is_some());
    let (_, findings) = Config::parse(&"#".repeat(LONGEST_SOURCE + 1));
    assert_eq!(findings[0].code, "too-large");
}

#[test]
fn the_schema_and_the_reader_agree_with_serde() {
    let (config, _) = Config::parse("[version]\nholders = [\"a\"]\n[secrets]\nT = { env = \"T\" }\n");
    let json = serde_json::to_value(&config).unwrap();
    assert_eq!(serde_json::from_value::<Config>(json).unwrap(), config);
    let schema = serde_json::to_value(schemars::schema_for!(Config)).unwrap();
    assert!(schema["properties"]["version"].is_object());
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(source in "(?s)[\\[\\]{}=\"'a-z.,\n #0-9é-]{0,80}") {
        let _ = Config::parse(&source);
        let _ = Config::parse(&format!("[version]\n{source}"));
    }
}
