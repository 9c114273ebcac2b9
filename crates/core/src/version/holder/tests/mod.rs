//! Holders of every kind: what is found, what is refused, and that no other byte changes.

mod code;
mod documents;
mod round_trips;
mod text;

use super::*;
use crate::config::HolderTable;

fn v(text: &str) -> Version {
    Version::parse(text).unwrap()
}

/// The kind of a file by its name.
fn of(path: &str) -> HolderKind {
    with_packages(path, &[])
}

fn with_packages(path: &str, packages: &[&str]) -> HolderKind {
    let packages: Vec<String> = packages.iter().map(|package| (*package).to_owned()).collect();
    kind(&HolderTable { path: path.to_owned(), ..HolderTable::default() }, &packages).unwrap()
}

fn regex(pattern: &str) -> HolderKind {
    HolderKind::Regex { pattern: pattern.to_owned(), matches: 1, spelling: Spelling::SemVer }
}

fn key(path: &str, key: &str) -> HolderKind {
    let table = HolderTable { path: path.to_owned(), key: Some(key.to_owned()), ..HolderTable::default() };
    kind(&table, &[]).unwrap()
}

/// `source` marks each version with `«` and `»`; the rest must stay.
fn check(kind: &HolderKind, marked: &str) {
    check_with(kind, marked, true);
}

/// As [`check`]; without `crlf` the newlines are what the format needs.
fn check_with(kind: &HolderKind, marked: &str, crlf: bool) {
    let source = marked.replace(['«', '»'], "");
    let expect: Vec<&str> = marked.split('«').skip(1).map(|part| part.split_once('»').unwrap().0).collect();
    let mut sources = vec![("", source.clone()), ("\u{feff}", source.clone())];
    if crlf {
        sources.push(("", source.replace('\n', "\r\n")));
    }
    for (mark, source) in sources {
        let source = format!("{mark}{source}");
        let found = read(kind, &source).unwrap_or_else(|error| panic!("{source}\n{error}"));
        let texts: Vec<&str> = found.iter().map(|place| place.text.as_str()).collect();
        assert_eq!(texts, expect, "{source}");
        for place in &found {
            assert_eq!(source[place.span.start..place.span.end], place.text);
            let line = source[..place.span.start].matches('\n').count() + 1;
            assert_eq!(place.line, line, "{source}");
        }
        let version = agreed(&found).unwrap_or_else(|error| panic!("{source}\n{error}")).0;
        let next = v("10.20.30");
        let edited = write(kind, &source, &next).unwrap_or_else(|error| panic!("{source}\n{error}"));
        assert_eq!(edited.matches("10.20.30").count(), expect.len(), "{edited}");
        assert_eq!(
            edited.len(),
            source.len() + 8 * expect.len() - expect.iter().map(|text| text.len()).sum::<usize>()
        );
        assert_eq!(write(kind, &edited, &version).unwrap(), source);
    }
}

fn refused(kind: &HolderKind, source: &str, expect: &str) {
    let error = write(kind, source, &v("2.0.0")).unwrap_err().to_string();
    assert!(error.contains(expect), "{source}\n{error}");
}

fn refused_version(kind: &HolderKind, source: &str, version: &str, expect: &str) {
    let error = write(kind, source, &v(version)).unwrap_err().to_string();
    assert!(error.contains(expect), "{source}\n{error}");
}

#[test]
fn a_file_states_one_version() {
    let kind = of("package-lock.json");
    for (source, expect) in [
        ("{\"version\": \"1.2.3\", \"packages\": {\"\": {\"version\": \"1.2.3\"}}}", Ok("1.2.3")),
        (
            "{\"version\": \"1.2.3\", \"packages\":\n{\"\": {\"version\": \"1.2.4\"}}}",
            Err("line 2 states 1.2.4, but line 1 states 1.2.3"),
        ),
        ("{\"version\": \"1.2\"}", Err("line 1: `1.2` is not a version: it has 2 numbers")),
        ("{\"version\": \"\"}", Err("it is empty")),
    ] {
        match (stated(&kind, source), expect) {
            (Ok(version), Ok(expect)) => assert_eq!(version.to_string(), expect),
            (Err(error), Err(expect)) => assert!(error.to_string().contains(expect), "{error}"),
            (outcome, _) => panic!("{source}: {outcome:?}"),
        }
    }
}

#[test]
fn kinds_are_configured_by_name() {
    let table = |edit: &dyn Fn(&mut HolderTable)| {
        let mut table = HolderTable { path: "deploy/values.yaml".to_owned(), ..HolderTable::default() };
        edit(&mut table);
        kind(&table, &[])
    };
    let text = |text: &str| Some(text.to_owned());
    for name in KINDS {
        assert!(table(&|table| table.kind = text(name)).is_ok(), "{name}");
    }
    assert_eq!(table(&|table| table.kind = text("helm-chart")), Ok(HolderKind::HelmChart));
    assert!(matches!(
        table(&|table| table.key = text("a.b")),
        Ok(HolderKind::Key { format: Format::Yaml, .. })
    ));
    assert!(matches!(
        table(&|table| table.image = text("a/b")),
        Ok(HolderKind::Image { is_yaml: true, matches: 1, .. })
    ));
    type Edit = Box<dyn Fn(&mut HolderTable)>;
    let cases: Vec<(Edit, &str)> = vec![
        (Box::new(|_| ()), "give a `pattern` that finds it"),
        (Box::new(|table| table.kind = Some("helm-chrat".into())), "did you mean `helm-chart`?"),
        (
            Box::new(|table| table.kind = Some("nothing at all like it".into())),
            "the kinds are badge, cargo-lock",
        ),
        (
            Box::new(|table| {
                table.kind = Some("helm-chart".into());
                table.key = Some("a".into());
            }),
            "only one of",
        ),
        (
            Box::new(|table| {
                table.path = "x.txt".into();
                table.key = Some("a".into());
            }),
            "add `format`",
        ),
        (Box::new(|table| table.image = Some("acme/app:1.2.3".into())), "no image without a tag"),
        (
            Box::new(|table| {
                table.key = Some("a".into());
                table.format = Some("csv".into());
            }),
            "`csv` is no format",
        ),
    ];
    for (edit, expect) in cases {
        let error = table(&edit).unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    }
    for (path, expect) in [
        ("a/Cargo.toml", Some("cargo-toml")),
        ("Sea.csproj", Some("msbuild")),
        ("sea.gemspec", Some("gemspec")),
        ("Dockerfile.alpine", Some("dockerfile")),
        ("lib/sea/version.rb", Some("ruby")),
        ("README.md", None),
        ("compose.yaml", None),
    ] {
        assert_eq!(detect(path), expect, "{path}");
    }
}

#[test]
fn both_sides_of_a_merge_are_refused_in_every_kind() {
    for path in ["VERSION", "src/a/__init__.py", "Cargo.toml", "gradle.properties", "Dockerfile"] {
        let source = "<<<<<<< HEAD\n__version__ = \"1.2.3\"\nversion=1.2.3\n=======\n>>>>>>> main\n";
        refused(&of(path), source, "line 1: a merge conflict is not resolved");
    }
    let guide = "Resolve a conflict:\n\n<<<<<<< yours\n\nVersion: 1.2.3\n";
    assert!(write(&regex(r"Version: (\S+)"), guide, &v("2.0.0")).is_ok(), "half a conflict is none");
}

#[test]
fn what_cannot_be_told_apart_afterwards_is_refused() {
    let chart = "version: 1.2.3\nappVersion: 2.0.0\n";
    refused(&of("Chart.yaml"), chart, "2 places of this file would state it where 1 do now");
}

#[test]
fn hostile_repetition_is_read_in_time() {
    let image = HolderKind::Image { image: "a".to_owned(), matches: 1, is_yaml: false };
    let cases = [
        (of("setup.py"), "setup("),
        (of("setup.py"), "setup(version=a, "),
        (of("a/__init__.py"), "a =\n"),
        (of("a/__init__.py"), "a: b\n"),
        (of("mix.exs"), "def project do [version: @v, "),
        (of("mix.exs"), "version: @v, "),
        (of("build.gradle"), "version = a\n"),
        (of("version.go"), "const version = "),
        (of("version.rb"), "VERSION = a\n"),
        (of("a.gemspec"), ".version = a\n"),
        (of("Dockerfile"), "LABEL version=1 "),
        (of("Dockerfile"), "LABEL a\\\n"),
        (of("gradle.properties"), "version=1\\\n"),
        (of("Chart.yaml"), "version: 1\n"),
        (of("pom.xml"), "<project/>"),
        (of("package.json"), "{\"version\":"),
        (of("Cargo.toml"), "[[a.b]]\n"),
        (of("VERSION"), "1 "),
        (HolderKind::Badge { matches: 1 }, "img.shields.io/badge/version-"),
        (image, "a:${"),
        (key("a.yaml", "a[b=c].d"), "- a: 1\n"),
        (key("a.toml", "a.b"), "a = 1\n"),
        (regex("(a|b|ab)*c"), "ab"),
        (regex("<<<<<<< (.*)"), "<<<<<<< "),
    ];
    for (kind, part) in cases {
        // What grows with the square of this length would not end while anybody waits.
        let _ = write(&kind, &part.repeat((1 << 19) / part.len()), &v("1.0.0"));
    }
}
