//! Units: what is versioned as one, the whole repository or one of its packages.

use super::{Config, Holder, Package};
use crate::diagnostic::nearest;
use crate::text::sanitize_line;
use crate::version::TagFormat;

/// The whole repository, or one of its packages: paths, tags, holders and changelog that belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// The package's name; `None` for the whole repository.
    pub package: Option<String>,
    /// Its folder from the repository's root, without a slash at the end; empty for the root itself.
    pub folder: String,
    /// Files and folders whose changes count; empty when every change does.
    pub paths: Vec<String>,
    /// How its versions are written as tags.
    pub tag: TagFormat,
    /// The files that state its version; when empty, the manifests found in its folder.
    pub holders: Vec<Holder>,
    /// Its changelog from the repository's root.
    pub changelog: String,
    /// Packages whose release calls for one of its own.
    pub depends_on: Vec<String>,
    /// The group it shares its version with.
    pub linked: Option<String>,
}

/// A name that no package has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no package `{name}`; {help}")]
pub struct UnknownPackage {
    /// The name asked for.
    pub name: String,
    /// The nearest name, or how to make a package.
    pub help: String,
}

impl Package {
    /// How the tags of the package `name` are written.
    pub(super) fn tag_format(&self, name: &str) -> TagFormat {
        let own = self.tag.as_deref().and_then(|tag| TagFormat::parse(tag).ok());
        own.or_else(|| TagFormat::parse(&format!("{name}-v{{version}}")).ok()).unwrap_or_default()
    }
}

impl Config {
    /// The unit of this package; the whole repository without one.
    ///
    /// # Errors
    /// When no package has the name.
    pub fn unit(&self, package: Option<&str>) -> Result<Unit, UnknownPackage> {
        let Some(name) = package else {
            return Ok(Unit {
                package: None,
                folder: String::new(),
                paths: Vec::new(),
                tag: TagFormat::parse(&self.version.tag).unwrap_or_default(),
                holders: self.version.holders.clone(),
                changelog: self.changelog.path.clone(),
                depends_on: Vec::new(),
                linked: None,
            });
        };
        let Some(package) = self.packages.get(name) else {
            let help = match nearest(name, self.packages.keys().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "packages are listed as [packages.NAME] in windlass.toml".to_owned(),
            };
            return Err(UnknownPackage { name: sanitize_line(name), help });
        };
        let folder = package.path.trim_matches('/').trim_start_matches("./").to_owned();
        let folder = if folder == "." { String::new() } else { folder };
        let mut paths: Vec<String> =
            package.also.iter().map(|path| path.trim_matches('/').to_owned()).collect();
        if !folder.is_empty() {
            paths.insert(0, folder.clone());
        } else {
            // The package at the root has every change.
            paths.clear();
        }
        let beside =
            |file: &str| if folder.is_empty() { file.to_owned() } else { format!("{folder}/{file}") };
        Ok(Unit {
            package: Some(name.to_owned()),
            paths,
            tag: package.tag_format(name),
            holders: package.holders.clone(),
            changelog: package.changelog.clone().unwrap_or_else(|| beside("CHANGELOG.md")),
            depends_on: package.depends_on.clone(),
            linked: package.linked.clone(),
            folder,
        })
    }

    /// Every package's unit, by name; the whole repository where there are no packages.
    pub fn units(&self) -> Vec<Unit> {
        if self.packages.is_empty() {
            return self.unit(None).into_iter().collect();
        }
        self.packages.keys().filter_map(|name| self.unit(Some(name)).ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_has_its_own_paths_tags_and_files() {
        let (config, findings) = Config::parse(
            "[version]\ntag = \"r{version}\"\n[packages.api]\npath = \"services/api/\"\nalso = [\"proto\"]\n\
             depends_on = [\"lib\"]\n[packages.lib]\npath = \"lib\"\ntag = \"lib/{version}\"\n\
             changelog = \"docs/lib.md\"\nlinked = \"core\"\n[packages.\"@acme/root\"]\npath = \".\"\n",
        );
        assert_eq!(findings, []);
        let api = config.unit(Some("api")).unwrap();
        assert_eq!((api.folder.as_str(), api.tag.to_string().as_str()), ("services/api", "api-v{version}"));
        assert_eq!(
            (api.paths.as_slice(), api.changelog.as_str()),
            (["services/api".to_owned(), "proto".to_owned()].as_slice(), "services/api/CHANGELOG.md",)
        );
        let lib = config.unit(Some("lib")).unwrap();
        assert_eq!((lib.tag.to_string().as_str(), lib.changelog.as_str()), ("lib/{version}", "docs/lib.md"));
        let root = config.unit(Some("@acme/root")).unwrap();
        assert_eq!(
            (root.folder.as_str(), root.paths.len(), root.tag.to_string().as_str()),
            ("", 0, "@acme/root-v{version}",)
        );
        assert_eq!(config.unit(None).unwrap().tag.to_string(), "r{version}");
        assert_eq!(config.units().len(), 3);
        assert!(config.unit(Some("apii")).unwrap_err().to_string().contains("did you mean `api`"));
        assert_eq!(Config::default().units().len(), 1);
    }

    #[test]
    fn packages_that_cannot_be_are_found() {
        for (source, expect) in [
            ("[packages.a]\n", "has no `path`"),
            ("[packages.a]\npath = \"a\"\ndepends_on = [\"b\"]\n", "`b`, which is no package"),
            ("[packages.a]\npath = \"../a\"\n", "inside the repository"),
            ("[packages.\"a b\"]\npath = \"a\"\n", "not a name"),
            ("[packages.a]\npath = \"a\"\ntag = \"x\"\n", "does not hold `{version}`"),
            (
                "[packages.a]\npath = \"a\"\nholders = [{ path = \"x\", key = \"a\", image = \"b\" }]\n",
                "only one of",
            ),
            ("[version]\nlabels = { alpha = \"1x\" }\n", "must be a word"),
            ("[version]\nlabels = { gamma = \"x\" }\n", "unknown key"),
            ("[version]\nordinals = \"from-two\"\n", "is not a value"),
            ("[version]\ncalendar = \"YYYY.0X\"\n", "`0X` is no part of a calendar"),
        ] {
            let (_, findings) = Config::parse(source);
            assert!(
                findings.iter().any(|finding| finding.message.contains(expect)),
                "{source}: {findings:?}"
            );
        }
    }
}
