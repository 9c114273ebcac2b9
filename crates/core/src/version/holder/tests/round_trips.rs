//! Every kind, over documents of every make: raised as expected, and lowered again to the same bytes.

use super::*;
use crate::version::core;
use proptest::prelude::*;

/// A kind and a document: `§` is the version as the kind spells it, `¤` its number alone, `¶` some words of a comment,
/// `→` a tab or blanks.
struct Case {
    kind: HolderKind,
    document: &'static str,
    /// Double quotes may be single ones.
    quotes: bool,
    /// Versions with a suffix have a place.
    suffix: bool,
}

#[rustfmt::skip]
fn cases() -> Vec<Case> {
    let case = |kind, document, quotes| Case { kind, document, quotes, suffix: true };
    let badge = HolderKind::Badge { matches: 1 };
    let image = |is_yaml| HolderKind::Image { image: "acme/app".to_owned(), matches: 1, is_yaml };
    vec![
        case(with_packages("Cargo.toml", &["sea", "core"]), "# ¶\n[tool.ruff]\ntarget-version = \"1.0.1\"\n[package]\nname = \"sea\" # ¶\n→version→=→\"§\"→# ¶\n[dependencies]\ncore = { path = \"c\",→version = \"=§\" }\nx = \"1.0.1\"\n", true),
        case(with_packages("Cargo.toml", &["core"]), "[workspace.package]\nversion=\"§\"\n[workspace.dependencies]\ncore = { version = \"§\", path = \"c\" }\n", true),
        case(with_packages("Cargo.lock", &["sea"]), "# ¶\nversion = 4\n\n[[package]]\nname = \"sea\"\nversion = \"§\"\ndependencies = [\n \"a\",\n]\n\n[[package]]\nname = \"b\"\nversion = \"1.0.1\"\nsource = \"registry+x\"\ndependencies = [\"sea §\"]\n", false),
        case(of("pyproject.toml"), "# ¶\n[tool.ruff]\ntarget-version = \"1.0.1\"\n[project]\nversion→=→\"§\"→# ¶\n", true),
        case(of("pyproject.toml"), "[project]\nname = \"a\"\nversion = \"§\"\n[tool.poetry]\nversion = '§'\n", true),
        case(of("pyproject.toml"), "[tool.poetry]\nname = \"a\"\nversion = \"§\"\n[tool.poetry.dependencies]\nb = \"1.0.1\"\n", true),
        case(of("uv.lock"), "version = 1\n[[package]]\nname = \"a\"\nversion = \"1.0.1\"\nsource = { registry = \"x\" }\n[[package]]\nname = \"s\"\nversion = \"§\"\nsource = { editable = \".\" }\n", false),
        case(of("setup.py"), "# ¶\nfrom setuptools import setup\nsetup(\n→→name=\"a\",  # ¶\n→→version=\"§\",→# ¶\n→→install_requires=[\"b==1.0.1\"],\n)\n", true),
        case(of("setup.cfg"), "# ¶\n[metadata]\nname = a\nversion→=→§\n; ¶\n[options]\nversion = 1.0.1\n", false),
        case(of("a/__init__.py"), "\"\"\"Text.\"\"\"\n# ¶\nimport b\n__version__→=→\"§\"→# ¶\nother = \"1.0.1\"\n", true),
        case(of("_version.py"), "__version__ = version = \"§\"\n", true),
        case(with_packages("package.json", &["c"]), "{\n→\"name\": \"é\",\n→\"version\"→:→\"§\",\n→\"dependencies\": { \"c\": \"^§\", \"version\": \"1.0.1\" }\n}\n", false),
        case(with_packages("package-lock.json", &["c"]), "{\n→\"version\": \"§\",\n→\"packages\": {\n→\"\": {\"version\": \"§\"},\n→\"p/c\": {\"version\":→\"§\"},\n→\"node_modules/b\": {\"version\": \"1.0.1\"}\n}\n}\n", false),
        case(of("deno.jsonc"), "{\n→// ¶\n→\"version\": \"§\", /* ¶ */\n}\n", false),
        case(of("lerna.json"), "{→\"packages\": [\"a/*\"],\n→\"version\": \"§\"\n}\n", false),
        case(of("composer.json"), "{\n→\"require\": {\"a/b\": \"1.0.1\"},\n→\"version\": \"§\"\n}\n", false),
        case(of("tauri.conf.json"), "{\n→\"package\": {→\"version\": \"§\"→}\n}\n", false),
        case(of("pubspec.yaml"), "# ¶\nname: a\nversion:    §+7   # ¶\ndependencies:\n  b: 1.0.1\n", false),
        case(of("Chart.yaml"), "# ¶\napiVersion: v2\nversion: \"§\" # ¶\nappVersion: \"v§\"\ndependencies:\n  - name: a\n    version: 1.0.1\n", true),
        case(of("mix.exs"), "# ¶\ndefmodule A do\n→@version→\"§\"→# ¶\n→def project do\n→→[app: :a, version: @version]\n→end\nend\n", false),
        case(of("mix.exs"), "def project do\n→[\n→→version: \"§\", # ¶\n→→deps: [{:a, \"1.0.1\"}]\n→]\nend\n", false),
        case(of("pom.xml"), "<?xml version=\"1.0\"?>\n<!-- ¶ -->\n<project>\n→<version>→§→</version>\n→<dependencies><dependency><version>1.0.1</version></dependency></dependencies>\n</project>\n", false),
        case(of("pom.xml"), "<project>\n→<parent><groupId>g</groupId><artifactId>p</artifactId><version>§</version></parent>\n→<groupId>g</groupId><version>§</version><!-- ¶ -->\n</project>\n", false),
        case(of("pom.xml"), "<project>\n→<properties><revision>§</revision></properties>\n→<version>${revision}</version>\n</project>\n", false),
        case(of("gradle.properties"), "# ¶\na=1.0.1\nversion→=→§\n! ¶\n", false),
        case(of("build.gradle"), "// ¶\nplugins {\n→id \"a\" version \"1.0.1\"\n}\nversion→=→\"§\"→// ¶\n/* ¶ */\n", true),
        case(of("build.gradle.kts"), "val v = \"§\"\nversion = v\n", false),
        case(of("A.csproj"), "<Project Sdk=\"a\">\n→<PropertyGroup>\n→→<Version>§</Version><!-- ¶ -->\n→→<FileVersion>¤.0</FileVersion>\n→</PropertyGroup>\n→<ItemGroup><PackageReference Include=\"b\" Version=\"1.0.1\" /></ItemGroup>\n</Project>\n", true),
        Case { kind: of("Directory.Build.props"), document: "<Project>\n→<PropertyGroup>\n→→<VersionPrefix>§</VersionPrefix>\n→</PropertyGroup>\n</Project>\n", quotes: false, suffix: false },
        case(of("version.go"), "// ¶\npackage a\n\nconst (\n→Version = \"v§\" // ¶\n→Min = \"1.0.1\"\n)\n", false),
        case(of("version.rb"), "# ¶\nmodule A\n→VERSION→=→\"§\".freeze # ¶\nend\n", true),
        case(of("a.gemspec"), "# ¶\nGem::Specification.new do |s|\n→s.version = \"§\"\n→s.add_dependency \"b\", \"1.0.1\"\nend\n", true),
        case(of("Dockerfile"), "# ¶\nFROM a:1.0.1\nLABEL a=\"b c\" \\\n→version=\"§\" \\\n# ¶\n→org.opencontainers.image.version=v§\nENV V=1.0.1\n", true),
        case(badge, "# A\n¶\n![v](https://img.shields.io/badge/version-§-blue) 1.0.1\n", false),
        case(of("VERSION"), "→v§→\n", false),
        case(image(true), "# ¶\nservices:\n  a:\n    image: \"acme/app:v§\" # ¶\n  b:\n    image: b:1.0.1\n", true),
        case(image(false), "# ¶\ndocker run acme/app:§ b:1.0.1\n", false),
        case(key("a.json", "a.version"), "{\"a\":→{\"version\":→\"§\"}, \"version\": \"1.0.1\"}\n", false),
        case(key("a.toml", "a.version"), "[b]\nversion = \"1.0.1\"\n[a] # ¶\nversion→=→\"§\" # ¶\n", true),
        case(key("a.yaml", "a.version"), "version: 1.0.1\na:\n  version: \"§\" # ¶\n", true),
        case(key("a.xml", "a/@version"), "<?xml version=\"1.0\"?>\n<!-- ¶ -->\n<a→version=\"§\"→b=\"1.0.1\"/>\n", true),
        case(key("a.properties", "a.version"), "# ¶\nb.version=1.0.1\na.version→:→§\n", false),
        case(regex(r"Version: (\S+)"), "¶\nVersion: §\n¶\n", false),
    ]
}

/// How `kind` spells the version in its document.
fn spelled(kind: &HolderKind, version: &Version) -> String {
    let spelling = match kind {
        HolderKind::PyprojectToml
        | HolderKind::UvLock { .. }
        | HolderKind::SetupPy
        | HolderKind::SetupCfg
        | HolderKind::PythonModule => Spelling::Pep440,
        HolderKind::RubySource | HolderKind::Gemspec => Spelling::Gem,
        HolderKind::Badge { .. } => Spelling::Badge,
        _ => Spelling::SemVer,
    };
    spelling.write(version).unwrap()
}

const VERSION: &str =
    "(0|[1-9][0-9]{0,4})\\.(0|[1-9][0-9]{0,4})\\.(0|[1-9][0-9]{0,4})(-(alpha|beta|rc)\\.[1-9][0-9]?)?";

proptest! {
    #[test]
    fn raised_and_lowered_again_is_the_same_bytes(
        comment in "[a-zA-Z0-9 .,;'\"=#é→(\\[{]{0,20}",
        crlf in any::<bool>(),
        single in any::<bool>(),
        blank in "(\t|  | |\t\t)",
        end in any::<bool>(),
        mark in any::<bool>(),
        from in VERSION,
        to in VERSION,
    ) {
        let (from, to) = (v(&from), v(&to));
        prop_assume!(from != v("1.0.1") && to != v("1.0.1"));
        for Case { kind, document, quotes, suffix } in cases() {
            let (from, to) = if suffix { (from.clone(), to.clone()) } else { (core(&from), core(&to)) };
            let mut text = document.replace('→', &blank).replace('¶', &comment.replace('→', "-"));
            if quotes && single {
                text = document.replace('"', "'").replace('→', &blank).replace('¶', &comment.replace('→', "-"));
            }
            if !end {
                text.truncate(text.trim_end_matches('\n').len());
            }
            if crlf {
                text = text.replace('\n', "\r\n");
            }
            let mark = if mark { "\u{feff}" } else { "" };
            let stating = |version: &Version| {
                let text = text.replace('§', &spelled(&kind, version)).replace('¤', &core(version).to_string());
                format!("{mark}{text}")
            };
            let source = stating(&from);
            let raised = write(&kind, &source, &to);
            prop_assert!(raised.is_ok(), "{kind:?}\n{source}\n{raised:?}");
            let raised = raised.unwrap();
            prop_assert_eq!(&raised, &stating(&to));
            let lowered = write(&kind, &raised, &from);
            prop_assert!(lowered.is_ok(), "{kind:?}\n{raised}\n{lowered:?}");
            prop_assert_eq!(lowered.unwrap(), source);
        }
    }

    #[test]
    fn any_text_is_read_or_refused(
        source in "(?s).{0,200}",
        wild in "[\"'<>{}\\[\\]()#:=@$\\\\\n\r\té-]{1,4}",
        at in 0.0..1.0f64,
        cut in 0usize..30,
    ) {
        for Case { kind, document, .. } in cases() {
            let _ = write(&kind, &source, &v("1.0.0"));
            // A document that was damaged.
            let mut begin = (document.len() as f64 * at) as usize;
            while !document.is_char_boundary(begin) {
                begin -= 1;
            }
            let mut last = (begin + cut).min(document.len());
            while !document.is_char_boundary(last) {
                last += 1;
            }
            let damaged = format!("{}{wild}{}", &document[..begin], &document[last..]).replace('§', "1.2.3");
            if let Ok(edited) = write(&kind, &damaged, &v("4.5.6")) {
                let back = write(&kind, &edited, &v("1.2.3"));
                prop_assert!(edited.contains("4.5.6") && back.is_ok(), "{kind:?}\n{damaged}\n{edited}\n{back:?}");
            }
        }
    }
}
