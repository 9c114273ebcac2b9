//! The page on five teams' versions: its configurations are read and its commands are run, so that it stays true.
//!
//! `WINDLASS_UPDATE_DOCS=1` writes what the commands print now into the page.

use windlass_testkit::repo::RepoBuilder;

use crate::support::windlass;

const PAGE: &str = "../../docs/guide/five-teams.md";

/// A section's heading begins so, and its commands run in the repository made here, configuration included.
type Team = (&'static str, fn(&RepoBuilder));

const TEAMS: [Team; 5] = [
    ("A ladder of pre-releases", ladder),
    ("Small steps before 1.0", small_steps),
    ("Tags and nothing else", tags_alone),
    ("Channels without a number", channels_without_number),
    ("Python files, and a number withdrawn", python_files),
];

#[test]
fn each_team_gets_the_versions_its_document_writes() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let page = std::fs::read_to_string(&path).unwrap();
    let mut written = page.clone();
    let mut wrong = Vec::new();
    for (heading, build) in TEAMS {
        let sections = sections(&page);
        let (_, section) = sections.iter().find(|(it, _)| it.starts_with(heading)).unwrap();
        let repo = RepoBuilder::new();
        repo.file("windlass.toml", blocks(section, "toml").concat());
        build(&repo);
        for block in blocks(section, "console") {
            let now = replay(&repo, &block);
            if now != block {
                wrong.push(format!("{heading}:\n--- the page\n{block}--- now\n{now}"));
                written = written.replacen(&block, &now, 1);
            }
        }
    }
    if std::env::var_os("WINDLASS_UPDATE_DOCS").is_some() {
        std::fs::write(&path, written).unwrap();
        return;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every section of the page is one of the teams': none is left untried.
#[test]
fn no_section_is_left_out() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let page = std::fs::read_to_string(path).unwrap();
    let with_commands = sections(&page).into_iter().filter(|(_, text)| text.contains("```console"));
    let headings: Vec<&str> = with_commands.map(|(heading, _)| heading).collect();
    assert_eq!(headings.len(), TEAMS.len());
    for (heading, (team, _)) in headings.iter().zip(TEAMS) {
        assert!(heading.starts_with(team), "{heading}");
    }
}

/// The page's sections: each heading, and the text under it. What a command prints may have headings of its own.
fn sections(page: &str) -> Vec<(&str, String)> {
    let mut found: Vec<(&str, String)> = Vec::new();
    let mut is_fenced = false;
    for line in page.lines() {
        is_fenced ^= line.starts_with("```");
        match line.strip_prefix("## ").filter(|_| !is_fenced) {
            Some(heading) => found.push((heading, String::new())),
            None => {
                if let Some((_, text)) = found.last_mut() {
                    text.push_str(line);
                    text.push('\n');
                }
            }
        }
    }
    found
}

fn blocks(section: &str, language: &str) -> Vec<String> {
    let open = format!("```{language}\n");
    let inside = |part: &str| part.split("```").next().unwrap_or_default().to_owned();
    section.split(&open).skip(1).map(inside).collect()
}

/// Runs each line that starts with `$ ` and puts what it prints under it.
fn replay(repo: &RepoBuilder, block: &str) -> String {
    let mut shown = String::new();
    for line in block.lines().filter(|line| line.starts_with("$ ")) {
        shown.push_str(&format!("{line}\n"));
        let words: Vec<&str> = line[2..].split(' ').collect();
        match words[0] {
            "windlass" => {
                let ran = windlass(repo, &words[1..]);
                shown.push_str(&ran.out);
                shown.push_str(&ran.err);
            }
            "git" => {
                let said = repo.git(&words[1..]);
                shown.push_str(&said);
                if !said.is_empty() && !said.ends_with('\n') {
                    shown.push('\n');
                }
            }
            "cat" => shown.push_str(&repo.read(words[1])),
            other => panic!("{other} is no command of this page"),
        }
    }
    shown
}

fn released(repo: &RepoBuilder, tag: &str) {
    repo.commit(&format!("chore(release): {tag}"));
    repo.tag(tag);
}

fn ladder(repo: &RepoBuilder) {
    repo.file(
        "pyproject.toml",
        "[tool.poetry]\nname = \"windflow\"\nversion = \"1.0.0\"\n\n[tool.ruff]\ntarget-version = \"py311\"\n",
    )
    .file("frontend/package.json", "{\n  \"name\": \"frontend\",\n  \"version\": \"1.0.0\"\n}\n")
    .file("doc/spec/README.md", "# Specification\n\nVersion: 1.0.0\n");
    released(repo, "v1.0.0");
    repo.git(&["checkout", "--quiet", "-b", "release/v1.1.0"]);
    repo.file("stacks.py", "1\n").commit("feat: deploy stacks");
}

fn small_steps(repo: &RepoBuilder) {
    repo.file(
        "CHANGELOG.md",
        "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- Share links for pages\n\n## [v0.3.1] - 2025-11-20\n\n### Fixed\n\n- Login\n",
    );
    released(repo, "v0.3.1");
    repo.file("share.js", "1\n").commit("feat(pages): share links");
    repo.file("hours.js", "1\n").commit("feat(hours)!: entries need a project");
}

fn tags_alone(repo: &RepoBuilder) {
    repo.file("app.txt", "1\n");
    released(repo, "v1.1.0");
    repo.file("x.txt", "1\n").commit("feat: nouvelle fonctionnalité X");
    repo.file("y.txt", "1\n").commit("fix: correction bug Z");
}

fn channels_without_number(repo: &RepoBuilder) {
    repo.file("setup.py", "from setuptools import setup\n\nsetup(name=\"snapshot\", version=\"1.2.2\")\n");
    released(repo, "v1.2.2");
    repo.file("a.txt", "1\n").commit("fix: rounding of totals");
}

fn python_files(repo: &RepoBuilder) {
    repo.file("pyproject.toml", "[project]\nname = \"djp-workflow\"\nversion = \"1.0.0\"\n")
        .file("src/__init__.py", "\"\"\"Workflows.\"\"\"\n\n__version__ = \"1.0.0\"\n")
        .file("CHANGELOG.md", "# Changelog\n\n## [1.0.0] - 2025-09-01\n\n### Added\n\n- Workflows\n");
    released(repo, "v1.0.0");
    repo.file("connectors.py", "1\n").commit("feat: connectors for Slack and Teams (#120)");
    repo.tag("v1.1.0");
    repo.file("connectors.py", "2\n").commit("fix: critical bug in connector authentication\n\nFixes #123");
}
