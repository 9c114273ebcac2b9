//! Files that state the version: found, compared, written together or not at all.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use windlass_testkit::repo::RepoBuilder;

use crate::support::{Ran, windlass};

/// A released repository with these files and a feature since.
fn released(files: &[(&str, &str)]) -> RepoBuilder {
    let repo = RepoBuilder::new();
    for (path, text) in files {
        repo.file(path, *text);
    }
    repo.commit("feat: begin");
    repo.tag("v1.2.0");
    repo.file("x", "1").commit("feat: more");
    repo
}

fn put(repo: &RepoBuilder, path: &str, text: &str) {
    repo.file(path, text);
}

fn fails(ran: &Ran, says: &[&str]) {
    assert_ne!(ran.code, 0, "{}", ran.out);
    for says in says {
        assert!(ran.err.contains(says), "{says}: {}", ran.err);
    }
}

#[test]
fn manifests_are_found_with_what_beside_them_says_the_same() {
    for (files, expect) in [
        (
            &[
                (
                    "Cargo.toml",
                    "[workspace]\nmembers = [\"crates/*\"]\n[workspace.package]\nversion = \"1.2.0\"\n[workspace.dependencies]\ncore = { path = \"crates/core\", version = \"1.2.0\" }\n",
                ),
                ("crates/core/Cargo.toml", "[package]\nname = \"core\"\nversion.workspace = true\n"),
                (
                    "crates/app/Cargo.toml",
                    "[package]\nname = \"app\"\nversion.workspace = true\n[dependencies]\ncore = { path = \"../core\", version = \"=1.2.0\" }\n",
                ),
                (
                    "crates/old/Cargo.toml",
                    "[package]\nname = \"old\"\nversion = \"0.3.0\"\n[dependencies]\ncore = { path = \"../core\", version = \"1\" }\n",
                ),
                (
                    "Cargo.lock",
                    "version = 4\n[[package]]\nname = \"app\"\nversion = \"1.2.0\"\n[[package]]\nname = \"core\"\nversion = \"1.2.0\"\n[[package]]\nname = \"old\"\nversion = \"0.3.0\"\n",
                ),
            ][..],
            &["Cargo.toml", "crates/app/Cargo.toml", "Cargo.lock"][..],
        ),
        (
            &[
                ("pyproject.toml", "[project]\nname = \"sea-salt\"\nversion = \"1.2.0\"\n"),
                ("src/sea_salt/__init__.py", "__version__ = \"1.2.0\"\n"),
                ("src/sea_salt/_version.py", "__version__ = \"0.0.1\"\n"),
                (
                    "uv.lock",
                    "version = 1\n[[package]]\nname = \"sea-salt\"\nversion = \"1.2.0\"\nsource = { editable = \".\" }\n",
                ),
            ],
            &["pyproject.toml", "uv.lock", "src/sea_salt/__init__.py"],
        ),
        (
            &[
                (
                    "pyproject.toml",
                    "[project]\nname = \"sea\"\ndynamic = [\"version\"]\n[tool.hatch.version]\npath = \"sea/__about__.py\"\n",
                ),
                ("sea/__about__.py", "__version__ = \"1.2.0\"\n"),
            ],
            &["sea/__about__.py"],
        ),
        (
            &[
                ("package.json", "{\"name\": \"a\", \"version\": \"1.2.0\"}"),
                (
                    "package-lock.json",
                    "{\"name\": \"a\", \"version\": \"1.2.0\", \"packages\": {\"\": {\"version\": \"1.2.0\"}}}",
                ),
                ("Dockerfile", "FROM a\nLABEL version=\"1.2.0\"\n"),
                ("src-tauri/tauri.conf.json", "{\"version\": \"1.2.0\"}"),
            ],
            &["package.json", "src-tauri/tauri.conf.json", "package-lock.json", "Dockerfile"],
        ),
        (
            &[
                ("package.json", "{\"name\": \"root\", \"version\": \"0.0.0\"}"),
                ("lerna.json", "{\"version\": \"1.2.0\"}"),
                ("packages/a/package.json", "{\"name\": \"a\", \"version\": \"1.2.0\"}"),
                (
                    "packages/b/package.json",
                    "{\"name\": \"b\", \"version\": \"1.2.0\", \"dependencies\": {\"a\": \"^1.2.0\"}}",
                ),
                ("packages/old/package.json", "{\"name\": \"old\", \"version\": \"0.1.0\"}"),
                ("other/package.json", "{\"name\": \"other\", \"version\": \"1.2.0\"}"),
            ],
            &["lerna.json", "packages/a/package.json", "packages/b/package.json"],
        ),
        (
            &[
                ("package.json", "{\"name\": \"root\", \"version\": \"1.2.0\"}"),
                ("lerna.json", "{\"version\": \"independent\", \"packages\": [\"libs/*\"]}"),
                ("libs/a/package.json", "{\"name\": \"a\", \"version\": \"1.2.0\"}"),
            ],
            &["package.json", "libs/a/package.json"],
        ),
        (&[("Chart.yaml", "version: 1.2.0\nappVersion: 3.0.0\n"), ("VERSION", "9.9.9\n")], &["Chart.yaml"]),
        (&[("VERSION", "1.2.0\n")], &["VERSION"]),
        (
            &[("version.go", "package a\n\nconst Version = \"1.2.0\"\n"), ("go.mod", "module a\n")],
            &["version.go"],
        ),
        (
            &[
                ("sea.gemspec", "Gem::Specification.new do |s|\n  s.version = Sea::VERSION\nend\n"),
                ("lib/sea/version.rb", "module Sea\n  VERSION = '1.2.0'\nend\n"),
            ],
            &["lib/sea/version.rb"],
        ),
        (
            &[
                (
                    "pom.xml",
                    "<project><groupId>g</groupId><artifactId>p</artifactId><version>1.2.0</version><modules><module>core</module></modules></project>",
                ),
                (
                    "core/pom.xml",
                    "<project><parent><groupId>g</groupId><artifactId>p</artifactId><version>1.2.0</version></parent><artifactId>c</artifactId></project>",
                ),
            ],
            &["pom.xml", "core/pom.xml"],
        ),
        (
            &[("composer.json", "{\"version\": \"1.2.0\"}"), ("package.json", "{\"version\": \"0.0.0\"}")],
            &["composer.json"],
        ),
        (&[("mix.exs", "def project do\n [version: \"1.2.0\"]\nend\n")], &["mix.exs"]),
        (&[("pubspec.yaml", "version: 1.2.0+3\n")], &["pubspec.yaml"]),
        (&[("deno.json", "{\"version\": \"1.2.0\"}")], &["deno.json"]),
        (&[("gradle.properties", "version=1.2.0\n")], &["gradle.properties"]),
        (&[("build.gradle.kts", "version = \"1.2.0\"\n")], &["build.gradle.kts"]),
        (
            &[("Sea.csproj", "<Project><PropertyGroup><Version>1.2.0</Version></PropertyGroup></Project>")],
            &["Sea.csproj"],
        ),
    ] {
        let repo = released(files);
        let dry = windlass(&repo, &["bump", "--dry-run", "--json"]);
        assert_eq!(dry.code, 0, "{files:?}: {}", dry.err);
        assert_eq!(dry.json()["files"], serde_json::json!(expect), "{files:?}");
        assert_eq!(repo.git(&["status", "--porcelain"]), "", "a dry run changes nothing");
        let ran = windlass(&repo, &["bump"]);
        assert_eq!(ran.code, 0, "{files:?}: {}", ran.err);
        assert_eq!(repo.git(&["log", "-1", "--format=%s"]), "chore(release): bump version to 1.3.0");
        for path in expect {
            assert!(repo.read(path).contains("1.3.0"), "{path}");
        }
    }
}

#[test]
fn a_disagreement_names_each_file_line_and_value() {
    let repo = released(&[
        ("Cargo.toml", "[package]\nname = \"a\"\nversion = \"1.2.0\"\n"),
        ("package.json", "{\n  \"version\": \"1.1.0\"\n}\n"),
        ("Chart.yaml", "name: a\nversion: 1.2.0\n"),
    ]);
    for args in [&["bump"][..], &["bump", "--dry-run"], &["next"]] {
        let says = [
            "Cargo.toml line 3 says 1.2.0, package.json line 2 says 1.1.0, Chart.yaml line 2 says 1.2.0",
            "make them say the same",
        ];
        fails(&windlass(&repo, args), &says);
    }
    assert_eq!(repo.git(&["status", "--porcelain"]), "");
}

#[test]
fn listed_holders_are_found_in_every_way() {
    let repo = released(&[
        ("README.md", "![v](https://img.shields.io/badge/version-1.2.0-blue)\n\n    npm i sea@1.2.0\n"),
        ("compose.yaml", "services:\n  a:\n    image: acme/sea:v1.2.0\n  b:\n    image: acme/sea:v1.2.0\n"),
        ("app.json", "{\"app\": {\"version\": \"1.2.0\"}}\n"),
        ("conf.py", "release = '1.2.0'\n"),
        ("chart/values", "version: 1.2.0\n"),
    ]);
    let config = "[version]\nholders = [\n  { path = \"README.md\", kind = \"badge\" },\n  { path = \"README.md\", pattern = 'sea@(\\S+)' },\n  { path = \"compose.yaml\", image = \"acme/sea\", matches = 2 },\n  { path = \"app.json\", key = \"app.version\" },\n  { path = \"conf.py\", pattern = \"release = '(.*)'\" },\n  { path = \"chart/values\", key = \"version\", format = \"yaml\" },\n]\n";
    repo.file("windlass.toml", config).commit("docs: configure");
    let ran = windlass(&repo, &["bump", "--channel", "rc"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    for (path, expect) in [
        ("README.md", "version-1.3.0--rc.1-blue)\n\n    npm i sea@1.3.0-rc.1\n"),
        ("compose.yaml", "image: acme/sea:v1.3.0-rc.1\n  b:\n    image: acme/sea:v1.3.0-rc.1\n"),
        ("app.json", "\"1.3.0-rc.1\""),
        ("conf.py", "release = '1.3.0rc1'"),
        ("chart/values", "version: 1.3.0-rc.1\n"),
    ] {
        assert!(repo.read(path).contains(expect), "{path}: {}", repo.read(path));
    }
    repo.file("windlass.toml", config.replace("[version]\n", "[version]\nsuffix_in_holders = false\n"));
    repo.commit("docs: numbers alone");
    let ran = windlass(&repo, &["bump", "--channel", "rc"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(repo.read("app.json").contains("\"1.3.0\""), "{}", repo.read("app.json"));
    assert!(repo.read("conf.py").contains("'1.3.0'"));
}

#[test]
fn what_cannot_be_written_whole_is_not_written_at_all() {
    let cargo = "[package]\nname = \"a\"\nversion = \"1.2.0\"\n";
    let large = format!("{{\"version\": \"1.2.0\", \"x\": \"{}\"}}", "x".repeat(100_000));
    let check = |prepare: &dyn Fn(&RepoBuilder), says: &str| {
        let repo = released(&[("Cargo.toml", cargo), ("package.json", &large)]);
        prepare(&repo);
        repo.git(&["add", "--all"]);
        repo.git(&["commit", "--allow-empty", "--quiet", "--message", "docs: prepare"]);
        fails(&windlass(&repo, &["bump"]), &[says]);
        assert_eq!(repo.git(&["status", "--porcelain", "--ignored"]), "", "{says}");
    };
    let readonly = |repo: &RepoBuilder| {
        let path = repo.path().join("package.json");
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o444)).unwrap();
    };
    check(&readonly, "package.json cannot be written");
    check(
        &|repo| put(repo, "package.json", "{\"version\": \"1.2.0\", \"version\": \"1.2.0\"}"),
        "a second time",
    );
    check(
        &|repo| put(repo, "package.json", "{\n<<<<<<< HEAD\n=======\n>>>>>>> b\n}"),
        "package.json: line 2: a merge conflict",
    );
    check(
        &|repo| put(repo, "package.json", &format!("{{\"x\": \"{}\"}}", "x".repeat(17 << 20))),
        "the most for a version holder",
    );
    check(
        &|repo| std::fs::write(repo.path().join("package.json"), b"{\"version\": \"\xff\"}").unwrap(),
        "package.json is not UTF-8",
    );
    let linked = |repo: &RepoBuilder| {
        std::fs::rename(repo.path().join("package.json"), repo.path().join("real.json")).unwrap();
        std::os::unix::fs::symlink("real.json", repo.path().join("package.json")).unwrap();
    };
    check(&linked, "symbolic link");
    let listed = |text: &'static str| move |repo: &RepoBuilder| put(repo, "windlass.toml", text);
    check(&listed("[version]\nholders = [\"Cargo.toml\", \"../a.json\"]\n"), "inside the repository");
    check(&listed("[version]\nholders = [\"Cargo.toml\", \"none.json\"]\n"), "none.json");
    check(
        &listed("[version]\nholders = [{ path = \"Cargo.toml\", pattern = '(1.2.9)' }]\n"),
        "the pattern `(1.2.9)` matches nothing",
    );
    check(&listed("[version]\nholders = [{ path = \"Cargo.toml\", kind = \"cargo\" }]\n"), "cargo");
}

#[test]
fn a_full_disk_leaves_every_file_as_it_was() {
    let large = format!("{{\"version\": \"1.2.0\", \"x\": \"{}\"}}", "x".repeat(200_000));
    let repo = released(&[
        ("Cargo.toml", "[package]\nname = \"a\"\nversion = \"1.2.0\"\n"),
        ("package.json", &large),
    ]);
    // No file may grow past 64 KiB: the second holder cannot be written, as on a full disk.
    let ran = Command::new("bash")
        .args(["-c", "trap '' XFSZ; ulimit -f 64; exec \"$0\" bump", env!("CARGO_BIN_EXE_windlass")])
        .current_dir(repo.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(!ran.status.success() && told.contains("package.json cannot be written"), "{told}");
    assert_eq!(repo.git(&["status", "--porcelain", "--ignored"]), "");
    assert_eq!(repo.git(&["log", "-1", "--format=%s"]), "feat: more");
}

#[test]
fn a_bump_that_was_killed_between_two_files_is_finished() {
    let cargo = "[package]\nname = \"a\"\nversion = \"1.2.0\"\n";
    let package = "{\"version\": \"1.2.0\"}";
    let repo =
        released(&[("Cargo.toml", cargo), ("package.json", package), ("Chart.yaml", "version: 1.2.0\n")]);
    repo.file("Cargo.toml", cargo.replace("1.2.0", "1.3.0"));
    repo.file(".package.json.windlass-tmp", package.replace("1.2.0", "1.3.0"));
    // As long as one file has nothing to go on with, nothing is guessed.
    fails(&windlass(&repo, &["bump"]), &["disagree"]);
    repo.file(".Chart.yaml.windlass-tmp", "version: 1.3.0\n");
    fails(&windlass(&repo, &["bump", "--dry-run"]), &["disagree"]);
    let ran = windlass(&repo, &["bump", "--no-commit"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(repo.read("package.json"), package.replace("1.2.0", "1.3.0"));
    assert_eq!(repo.read("Chart.yaml"), "version: 1.3.0\n");
    assert!(!repo.path().join(".package.json.windlass-tmp").exists());
}

/// A released monorepo whose library breaks its users.
fn broken(files: &[(&str, &str)]) -> RepoBuilder {
    let repo = RepoBuilder::new();
    let config = "[packages.lib]\npath = \"lib\"\n[packages.app]\npath = \"app\"\ndepends_on = [\"lib\"]\n";
    repo.file("windlass.toml", config).file("lib/x", "0");
    for (path, text) in files {
        repo.file(path, *text);
    }
    repo.commit("feat: begin");
    repo.tag("lib-v1.0.0");
    repo.tag("app-v3.0.0");
    repo.file("lib/x", "1").commit("feat!: other ways");
    repo
}

#[test]
fn requirements_of_other_packages_follow_where_they_do_not_admit_the_version() {
    let lib = ("lib/package.json", "{\"name\": \"@acme/lib\", \"version\": \"1.0.0\"}");
    let app = |range: &str| {
        format!(
            "{{\"name\": \"app\", \"version\": \"3.0.0\",\n\"dependencies\": {{\"@acme/lib\": \"{range}\"}}}}"
        )
    };
    for (range, expect) in [
        ("^1.0.0", "^2.0.0"),
        ("~1.0.0", "~2.0.0"),
        ("workspace:^0.9.0", "workspace:^2.0.0"),
        ("1.0.0", "2.0.0"),
        ("workspace:*", "workspace:*"),
        (">=1.0.0", ">=1.0.0"),
    ] {
        let repo = broken(&[lib, ("app/package.json", &app(range))]);
        let ran = windlass(&repo, &["bump", "major", "--package", "lib"]);
        assert_eq!(ran.code, 0, "{range}: {}", ran.err);
        assert_eq!(repo.read("app/package.json"), app(expect));
        assert_eq!(repo.git(&["status", "--porcelain"]), "");
    }
    let repo = broken(&[lib, ("app/package.json", &app("1.x"))]);
    let says = ["app/package.json", "line 2 requires `1.x` of @acme/lib"];
    fails(&windlass(&repo, &["bump", "major", "--package", "lib"]), &says);
    assert_eq!(repo.git(&["status", "--porcelain"]), "");

    let lib = ("lib/Cargo.toml", "[package]\nname = \"lib\"\nversion = \"1.0.0\"\n");
    let app = "[package]\nname = \"app\"\nversion = \"3.0.0\"\n[dependencies]\nlib = { path = \"../lib\", version = \"^0.9.0\" }\n";
    let repo = broken(&[lib, ("app/Cargo.toml", app)]);
    let ran = windlass(&repo, &["bump", "major", "--package", "lib"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(repo.read("app/Cargo.toml"), app.replace("0.9.0", "2.0.0"));
}

#[test]
fn members_that_inherit_the_version_require_what_is_released() {
    for (range, expect) in [("1.1.0", Ok("2.0.0")), ("1", Err("line 5 requires `1` of core"))] {
        let app = format!(
            "[package]\nname = \"app\"\nversion.workspace = true\n[dependencies]\ncore = {{ path = \"../core\", version = \"{range}\" }}\n"
        );
        let repo = released(&[
            (
                "Cargo.toml",
                "[workspace]\nmembers = [\"app\", \"core\"]\n[workspace.package]\nversion = \"1.2.0\"\n",
            ),
            ("app/Cargo.toml", &app),
            ("core/Cargo.toml", "[package]\nname = \"core\"\nversion.workspace = true\n"),
        ]);
        let ran = windlass(&repo, &["bump", "major"]);
        match expect {
            Ok(version) => {
                assert_eq!(ran.code, 0, "{}", ran.err);
                assert_eq!(repo.read("app/Cargo.toml"), app.replace(range, version));
            }
            Err(says) => fails(&ran, &["app/Cargo.toml", says, "state the whole version there"]),
        }
        assert_eq!(repo.git(&["status", "--porcelain"]), "");
    }
}
