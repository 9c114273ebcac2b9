//! Holders of plain text.

use super::*;

#[test]
fn plain_text() {
    let kind = of("VERSION");
    for marked in ["«1.2.3»\n", "«1.2.3»", " v«1.2.3»\n\n"] {
        check(&kind, marked);
    }
    refused(&kind, "one 1.2.3\n", "one version and nothing else");
    refused(&kind, "\n", "one version and nothing else");
}

#[test]
fn patterns() {
    let module = of("a/__init__.py");
    check(&module, "\"\"\"Doc.\"\"\"\n__version__ = \"«1.2.3»\"\nversion = '1.2.3'\n");
    check(&module, "__version__: str = '«1.2.3»'\n");
    for (pattern, marked) in [
        ("Version: .*", "# Spec\n\nVersion: «1.2.3»\n\nText 1.2.3.\n"),
        (r"image: app:v(\S+)", "services:\n  app:\n    image: app:v«1.2.3» # pinned\n"),
        (r"(?P<version>\d+\.\d+\.\d+\S*) (is|was) it", "«1.2.3» was it\n"),
        (r"The version is \S+", "The version is v«1.2.3».\n"),
        (r"tag=(v\S+)", "tag=v«1.2.3-rc.1»\n"),
    ] {
        check(&regex(pattern), marked);
    }
    check(
        &HolderKind::Regex { pattern: r"app:\S+".to_owned(), matches: 2, spelling: Spelling::SemVer },
        "app:«1.2.3»\napp:«1.2.3»\n",
    );
    for (pattern, source, expect) in [
        ("version", "none\n", "matches nothing"),
        (r"app:\S+", "app:1.2.3\n\napp:1.2.3\n", "matches 2 times (lines 1, 3) where 1"),
        ("app.*", "app none\n", "`app none` holds no version"),
        ("app.*", "app 1.2.3 or 1.2.4\n", "holds several versions"),
        (r"(\d)\.(\d)", "1.2\n", "several groups"),
        ("(", "x", "cannot be used"),
        (r"(\w{9}){999}{99}", "x", "too large once compiled"),
        (&"x".repeat(5000), "x", "longer than 4096"),
        (r"app (\d+\.\d+)", "app 1.2\n", "holds no version"),
    ] {
        refused(&regex(pattern), source, expect);
    }
    // A pattern too narrow for the new version would leave it unfindable for the next release.
    let error = write(&regex(r"v(\d+\.\d+\.\d+)"), "v1.2.3\n", &v("1.3.0-rc.1")).unwrap_err().to_string();
    assert!(error.contains("states `1.3.0` instead of 1.3.0-rc.1"), "{error}");
}

#[test]
fn dockerfiles() {
    let kind = of("Dockerfile");
    for marked in [
        "FROM alpine:1.2.3\nLABEL version=\"«1.2.3»\"\n",
        "FROM a\nlabel maintainer=\"a b\" org.opencontainers.image.version=«1.2.3-rc.1» other=1.2.3\n",
        "FROM a\nLABEL org.opencontainers.image.title=\"a \\\"version=0\\\"\" \\\n      # version=\"0\"\n      \"org.opencontainers.image.version\"='«1.2.3»' \\\n      version=v«1.2.3»\nRUN x\n",
        "FROM a\nLABEL version «1.2.3»\n# LABEL version=0\n",
        "# escape=`\nFROM a\nLABEL a=b `\n  version=\"«1.2.3»\"",
        "FROM a AS one\nLABEL version=«1.2.3»\nFROM b\nLABEL version=«1.2.3»\n",
    ] {
        check(&kind, marked);
    }
    for (source, expect) in [
        ("FROM a\nENV version=1.2.3\n", "no LABEL states"),
        ("LABEL version=1.2.3\nLABEL version=1.2.3\n", "the label `version` is stated 2 times (lines 1, 2)"),
        ("ARG V\nLABEL version=$V\n", "line 2: the version is dynamic"),
        ("LABEL version=\"1.2.\\3\"\n", "escapes"),
        ("LABEL version=1.2\".3\"\n", "escapes"),
    ] {
        refused(&kind, source, expect);
    }
    let differ = "LABEL version=1.2.3 org.opencontainers.image.version=1.2.4\n";
    let error = stated(&kind, differ).unwrap_err().to_string();
    assert!(error.contains("states 1.2.4, but line 1 states 1.2.3"), "{error}");
}

#[test]
fn badges() {
    let kind = |matches| {
        let table = HolderTable {
            path: "README.md".to_owned(),
            kind: Some("badge".to_owned()),
            matches,
            ..HolderTable::default()
        };
        kind(&table, &[]).unwrap()
    };
    for marked in [
        "# Sea\n\n![v](https://img.shields.io/badge/version-«1.2.3»-blue) ![p](https://img.shields.io/badge/python-3.11.0-green)\n",
        "<img src=\"https://img.shields.io/badge/Version-v«1.2.3--rc.1»-blue.svg?style=flat\">\n",
        "[![a](https://img.shields.io/badge/latest_release-«1.2.3»-8A2BE2)](x)\n",
    ] {
        check(&kind(None), marked);
    }
    check(
        &kind(Some(2)),
        "https://img.shields.io/badge/version-«1.2.3»-a https://img.shields.io/badge/release-«1.2.3»-b\n",
    );
    refused(&kind(None), "https://img.shields.io/badge/license-MIT-blue\n", "the badge is nowhere");
    refused(
        &kind(None),
        "https://img.shields.io/badge/version-1.2.3-a\nhttps://img.shields.io/badge/version-1.2.3-b\n",
        "the badge matches 2 times (lines 1, 2) where 1 was stated",
    );
}

#[test]
fn python_patterns_spell_as_python_does() {
    let table = HolderTable {
        path: "docs/conf.py".to_owned(),
        pattern: Some("release = '(.*)'".to_owned()),
        ..HolderTable::default()
    };
    let kind = kind(&table, &[]).unwrap();
    check(&kind, "release = '«1.2.3rc1»'\n");
    assert_eq!(write(&kind, "release = '1.2.3'\n", &v("1.3.0-rc.1")).unwrap(), "release = '1.3.0rc1'\n");
}
