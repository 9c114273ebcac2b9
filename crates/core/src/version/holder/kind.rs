//! The kinds of holders: their names, the files they are known by, and who reads them.

use super::key::Format;
use super::spelling::Spelling;
use super::{HolderError, Place, cargo, code, json, key, pattern, properties, python, text, xml, yaml};
use crate::config::HolderTable;
use crate::diagnostic::nearest;
use crate::version::shown;

/// The kind of file a holder is: where in it the version stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HolderKind {
    /// `[package] version`, else `[workspace.package] version`; and what is required of packages beside it.
    CargoToml {
        /// The names of the packages that share the version.
        packages: Vec<String>,
    },
    /// What a Cargo.toml requires of `packages`, and not its own version.
    CargoRequirements {
        /// The names of the packages that share the version.
        packages: Vec<String>,
    },
    /// The entries of `packages` that come from no registry, and mentions of them with their version.
    CargoLock {
        /// The names of the packages that share the version.
        packages: Vec<String>,
    },
    /// `[project] version`, else `[tool.poetry] version`.
    PyprojectToml,
    /// The entries of `packages` that are built from this repository; of its root when none is named.
    UvLock {
        /// The names of the packages that share the version.
        packages: Vec<String>,
    },
    /// `setup(version="1.2.3")`, or the variable it names.
    SetupPy,
    /// `[metadata] version`.
    SetupCfg,
    /// `__version__ = "1.2.3"`, else `VERSION` or `version`.
    PythonModule,
    /// The top-level `version`, and what is required of packages beside it.
    PackageJson {
        /// The names of the packages that share the version.
        packages: Vec<String>,
    },
    /// What a package.json requires of `packages`, and not its own version.
    PackageRequirements {
        /// The names of the packages that share the version.
        packages: Vec<String>,
    },
    /// The top-level `version`, that of the root package and those of `packages`.
    PackageLockJson {
        /// The names of the packages that share the version.
        packages: Vec<String>,
    },
    /// The top-level `version` of a deno.json or jsr.json, comments allowed.
    DenoJson,
    /// The top-level `version` of a composer.json.
    ComposerJson,
    /// The top-level `version` of a lerna.json, unless it is `independent`.
    LernaJson,
    /// The top-level `version`, else `package.version`.
    TauriConf,
    /// `version` without its build number.
    PubspecYaml,
    /// `version`, and `appVersion` where it says the same.
    HelmChart,
    /// `version:` of the project, or the attribute it names.
    MixExs,
    /// `project/version` or the property it names, and the parent's of the same build.
    PomXml {
        /// The artifacts that share the version.
        packages: Vec<String>,
    },
    /// `version`, else `VERSION_NAME`.
    GradleProperties,
    /// `version = "1.2.3"`, and `versionName` where it says the same.
    GradleBuild,
    /// `Version`, else `VersionPrefix`, else `PackageVersion`; and what repeats it.
    Msbuild,
    /// `const Version = "1.2.3"` or `var`.
    GoSource,
    /// `VERSION = "1.2.3"`.
    RubySource,
    /// `spec.version = "1.2.3"`.
    Gemspec,
    /// The labels `version` and `org.opencontainers.image.version`.
    Dockerfile,
    /// Static badges such as `img.shields.io/badge/version-1.2.3-blue`.
    Badge {
        /// How many there must be.
        matches: usize,
    },
    /// A file that holds the version and nothing else.
    PlainText {
        /// How it is spelled there.
        spelling: Spelling,
    },
    /// The tag of an image.
    Image {
        /// The image without its tag.
        image: String,
        /// How many places must name it.
        matches: usize,
        /// The file is YAML.
        is_yaml: bool,
    },
    /// The value that a key leads to.
    Key {
        /// The way to it.
        key: String,
        /// The file's format.
        format: Format,
        /// How the version is spelled there.
        spelling: Spelling,
    },
    /// Any text: what `pattern` finds must hold the version.
    Regex {
        /// A regular expression. Its capture group, named `version` or the only one, is the version; without a group,
        /// the version inside the whole match is.
        pattern: String,
        /// How many matches the file must have.
        matches: usize,
        /// How the version is spelled there.
        spelling: Spelling,
    },
}

/// The names that `kind` takes in the configuration.
pub const KINDS: [&str; 28] = [
    "badge",
    "cargo-lock",
    "cargo-requirements",
    "cargo-toml",
    "composer-json",
    "deno-json",
    "dockerfile",
    "gemspec",
    "go",
    "gradle",
    "gradle-properties",
    "helm-chart",
    "lerna-json",
    "mix-exs",
    "msbuild",
    "package-json",
    "package-lock-json",
    "package-requirements",
    "plain-text",
    "pom-xml",
    "pubspec-yaml",
    "pyproject-toml",
    "python-module",
    "ruby",
    "setup-cfg",
    "setup-py",
    "tauri-conf",
    "uv-lock",
];

/// The kind that a file of this path usually is, as one of [`KINDS`].
pub fn detect(path: &str) -> Option<&'static str> {
    let name = path.rsplit('/').next().unwrap_or(path);
    Some(match name {
        "Cargo.toml" => "cargo-toml",
        "Cargo.lock" => "cargo-lock",
        "pyproject.toml" => "pyproject-toml",
        "uv.lock" => "uv-lock",
        "setup.py" => "setup-py",
        "setup.cfg" => "setup-cfg",
        "__init__.py" | "__about__.py" | "__version__.py" | "_version.py" | "version.py" => "python-module",
        "package.json" => "package-json",
        "package-lock.json" | "npm-shrinkwrap.json" => "package-lock-json",
        "deno.json" | "deno.jsonc" | "jsr.json" | "jsr.jsonc" => "deno-json",
        "composer.json" => "composer-json",
        "lerna.json" => "lerna-json",
        "tauri.conf.json" | "tauri.conf.json5" => "tauri-conf",
        "pubspec.yaml" | "pubspec.yml" => "pubspec-yaml",
        "Chart.yaml" | "Chart.yml" => "helm-chart",
        "mix.exs" => "mix-exs",
        "pom.xml" => "pom-xml",
        "gradle.properties" => "gradle-properties",
        "build.gradle" | "build.gradle.kts" => "gradle",
        "Directory.Build.props" | "Directory.Build.targets" => "msbuild",
        "version.go" => "go",
        "version.rb" => "ruby",
        "Dockerfile" | "Containerfile" => "dockerfile",
        "VERSION" | "VERSION.txt" | "version.txt" | ".version" => "plain-text",
        _ if name.starts_with("Dockerfile.") || name.ends_with(".Dockerfile") => "dockerfile",
        _ => match name.rsplit_once('.')?.1 {
            "csproj" | "fsproj" | "vbproj" => "msbuild",
            "gemspec" => "gemspec",
            _ => return None,
        },
    })
}

/// Where in a file the version stands, by what the configuration or a plan says of it, else by its name. `packages` are
/// the names that share the version, for files that state those of several.
///
/// # Errors
/// When nothing says it, and when what says it makes no sense.
pub fn kind(holder: &HolderTable, packages: &[String]) -> Result<HolderKind, HolderError> {
    let refuse = |problem: String, help: &str| HolderError::UnknownKind { problem, help: help.to_owned() };
    let path = holder.path.as_str();
    let matches = holder.matches.unwrap_or(1);
    let spelling = Spelling::of_path(path);
    let ways = [&holder.pattern, &holder.key, &holder.image, &holder.kind];
    if ways.iter().filter(|way| way.is_some()).count() > 1 {
        return Err(refuse(
            "only one of `pattern`, `key`, `image` and `kind` can say where the version stands".to_owned(),
            "list the file twice, when it states the version in two ways",
        ));
    }
    let format = match &holder.format {
        None => Format::of_path(path),
        Some(name) => Some(Format::named(name).ok_or_else(|| {
            refuse(format!("`{}` is no format", shown(name)), "use json, toml, yaml, xml or properties")
        })?),
    };
    if let Some(pattern) = &holder.pattern {
        return Ok(HolderKind::Regex { pattern: pattern.clone(), matches, spelling });
    }
    if let Some(key) = &holder.key {
        let format = format.ok_or_else(|| {
            refuse(
                "the file's name does not say in which format `key` leads to the version".to_owned(),
                "add `format`: json, toml, yaml, xml or properties",
            )
        })?;
        return Ok(HolderKind::Key { key: key.clone(), format, spelling });
    }
    if let Some(image) = &holder.image {
        let bare = image.rsplit('/').next().unwrap_or(image);
        if image.is_empty() || bare.contains(':') || image.contains(char::is_whitespace) {
            return Err(refuse(
                format!("`{}` is no image without a tag", shown(image)),
                "write it such as ghcr.io/acme/app",
            ));
        }
        return Ok(HolderKind::Image {
            image: image.clone(),
            matches,
            is_yaml: format == Some(Format::Yaml),
        });
    }
    let name = match &holder.kind {
        Some(name) => name.as_str(),
        None => detect(path).ok_or_else(|| {
            refuse(
                "the file's name does not say where in it the version stands".to_owned(),
                "give a `pattern` that finds it, a `key` that leads to it, or its `kind`",
            )
        })?,
    };
    let packages = packages.to_vec();
    Ok(match name {
        "badge" => HolderKind::Badge { matches },
        "cargo-lock" => HolderKind::CargoLock { packages },
        "cargo-requirements" => HolderKind::CargoRequirements { packages },
        "cargo-toml" => HolderKind::CargoToml { packages },
        "composer-json" => HolderKind::ComposerJson,
        "deno-json" => HolderKind::DenoJson,
        "dockerfile" => HolderKind::Dockerfile,
        "gemspec" => HolderKind::Gemspec,
        "go" => HolderKind::GoSource,
        "gradle" => HolderKind::GradleBuild,
        "gradle-properties" => HolderKind::GradleProperties,
        "helm-chart" => HolderKind::HelmChart,
        "lerna-json" => HolderKind::LernaJson,
        "mix-exs" => HolderKind::MixExs,
        "msbuild" => HolderKind::Msbuild,
        "package-json" => HolderKind::PackageJson { packages },
        "package-lock-json" => HolderKind::PackageLockJson { packages },
        "package-requirements" => HolderKind::PackageRequirements { packages },
        "plain-text" => HolderKind::PlainText { spelling },
        "pom-xml" => HolderKind::PomXml { packages },
        "pubspec-yaml" => HolderKind::PubspecYaml,
        "pyproject-toml" => HolderKind::PyprojectToml,
        "python-module" => HolderKind::PythonModule,
        "ruby" => HolderKind::RubySource,
        "setup-cfg" => HolderKind::SetupCfg,
        "setup-py" => HolderKind::SetupPy,
        "tauri-conf" => HolderKind::TauriConf,
        "uv-lock" => HolderKind::UvLock { packages },
        unknown => {
            let help = match nearest(unknown, KINDS) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the kinds are {}", KINDS.join(", ")),
            };
            return Err(HolderError::UnknownKind {
                problem: format!("`{}` is no kind of holder", shown(unknown)),
                help,
            });
        }
    })
}

impl HolderKind {
    /// Where the version stands in a document without byte order mark.
    pub(super) fn places(&self, source: &str) -> Result<Vec<Place>, HolderError> {
        let spelled =
            |spans: Vec<_>, spelling| spans.into_iter().map(|span| Place { span, spelling }).collect();
        match self {
            Self::CargoToml { packages } => cargo::manifest(source, packages, true),
            Self::CargoRequirements { packages } => cargo::manifest(source, packages, false),
            Self::CargoLock { packages } => cargo::lock(source, packages),
            Self::PyprojectToml => python::pyproject(source),
            Self::UvLock { packages } => python::uv_lock(source, packages),
            Self::SetupPy => code::setup_py(source),
            Self::SetupCfg => properties::setup_cfg(source),
            Self::PythonModule => code::python_module(source),
            Self::PackageJson { packages } => json::package(source, packages),
            Self::PackageRequirements { packages } => json::required(source, packages),
            Self::PackageLockJson { packages } => json::package_lock(source, packages),
            Self::DenoJson => json::top(source, true, "the file"),
            Self::ComposerJson => json::top(source, false, "composer.json"),
            Self::LernaJson => json::lerna(source),
            Self::TauriConf => json::tauri(source),
            Self::PubspecYaml => yaml::pubspec(source),
            Self::HelmChart => yaml::chart(source),
            Self::MixExs => code::mix(source),
            Self::PomXml { packages } => xml::pom(source, packages),
            Self::GradleProperties => properties::gradle(source),
            Self::GradleBuild => code::gradle(source),
            Self::Msbuild => xml::msbuild(source),
            Self::GoSource => code::go(source),
            Self::RubySource => code::ruby(source),
            Self::Gemspec => code::gemspec(source),
            Self::Dockerfile => text::dockerfile(source),
            Self::Badge { matches } => {
                let spans = pattern::counted(source, "the badge", text::badges(source), *matches)?;
                Ok(spelled(spans, Spelling::Badge))
            }
            Self::PlainText { spelling } => Ok(spelled(pattern::plain_text(source)?, *spelling)),
            Self::Image { image, matches, is_yaml } => {
                let spans =
                    if *is_yaml { yaml::images(source, image)? } else { text::images(source, image)? };
                Ok(spelled(pattern::counted(source, "the image", spans, *matches)?, Spelling::ImageTag))
            }
            Self::Key { key, format, spelling } => key::find(source, *format, key, *spelling),
            Self::Regex { pattern, matches, spelling } => {
                Ok(spelled(pattern::find(source, pattern, *matches, *spelling)?, *spelling))
            }
        }
    }
}
