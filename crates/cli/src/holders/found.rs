//! Holders that nobody listed: the manifests in a folder, and what beside them says the same.

use std::collections::BTreeSet;
use std::path::Path;

use windlass_core::config::Unit;
use windlass_core::plan::HolderFact;
use windlass_core::version::holder::{
    self, HolderError, json_package_name, maven_project, python_modules, python_project,
};
use windlass_core::version::{Version, core, parse_version};

use super::cargo::{self, Cargo};
use super::npm::{self, Npm};
use super::{folders, join, refused, stating};
use crate::error::Result;

/// Manifests that are looked for by name, in the order in which they are listed.
const MANIFESTS: [&str; 20] = [
    "pyproject.toml",
    "setup.py",
    "setup.cfg",
    "package.json",
    "lerna.json",
    "deno.json",
    "deno.jsonc",
    "jsr.json",
    "jsr.jsonc",
    "composer.json",
    "pubspec.yaml",
    "Chart.yaml",
    "mix.exs",
    "pom.xml",
    "gradle.properties",
    "build.gradle",
    "build.gradle.kts",
    "Directory.Build.props",
    "src-tauri/tauri.conf.json",
    "tauri.conf.json",
];

/// Files that count only where they say what the manifests do, or where there is no manifest.
const BESIDE: [&str; 7] = [
    "VERSION",
    "VERSION.txt",
    "version.txt",
    "version.go",
    "version/version.go",
    "internal/version/version.go",
    "src-tauri/Cargo.toml",
];

/// Files that count only where they say what the manifests do.
const ECHOES: [&str; 2] = ["Dockerfile", "Containerfile"];

/// More modules of a build, or projects in a folder, than this are not looked at.
const MOST: usize = 500;

/// The holders in a folder of the repository; its root when it is empty.
pub(super) fn find(root: &Path, folder: &str) -> Result<Vec<HolderFact>> {
    Search { root, folder, facts: Vec::new() }.run()
}

/// The names that share the version of a unit whose holders are listed.
pub(super) fn packages(root: &Path, unit: &Unit) -> Result<Vec<String>> {
    let mut names = BTreeSet::new();
    for holder in &unit.holders {
        let path = holder.path();
        let name = path.rsplit('/').next().unwrap_or(path);
        let folder = path.strip_suffix(name).unwrap_or("").trim_end_matches('/');
        match name {
            "Cargo.toml" | "Cargo.lock" => names.extend(cargo(root, folder)?.packages),
            _ => names.extend(names_in(root, path)?),
        }
    }
    if unit.package.is_some() {
        names.extend(cargo(root, &unit.folder)?.packages);
        for manifest in ["package.json", "pyproject.toml", "pom.xml"] {
            names.extend(names_in(root, &join(&unit.folder, manifest))?);
        }
    }
    Ok(names.into_iter().collect())
}

fn cargo(root: &Path, folder: &str) -> Result<Cargo> {
    if folder.is_empty() { cargo::workspace(root) } else { cargo::package(root, folder) }
}

/// The packages that a manifest names as its own.
fn names_in(root: &Path, path: &str) -> Result<Vec<String>> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let read: fn(&str) -> std::result::Result<Option<String>, HolderError> = match name {
        "package.json" => json_package_name,
        "pyproject.toml" => |text| python_project(text).map(|project| project.name),
        // What is wrong with the file is said when it is read as a holder.
        "pom.xml" => {
            let project = folders::text(root, path)?.and_then(|text| maven_project(&text).ok());
            let Some((group, artifact)) = project.and_then(|own| Some((own.group, own.artifact?))) else {
                return Ok(Vec::new());
            };
            let full = group.map(|group| format!("{group}:{artifact}"));
            return Ok([artifact].into_iter().chain(full).collect());
        }
        _ => return Ok(Vec::new()),
    };
    let Some(text) = folders::text(root, path)? else { return Ok(Vec::new()) };
    // What is wrong with the file is said when it is read as a holder.
    Ok(read(&text).ok().flatten().into_iter().collect())
}

/// What other manifests require of a unit's packages in ranges that do not admit `next`.
pub(super) fn following(
    root: &Path,
    folder: &str,
    others: &[String],
    next: &Version,
) -> Result<Vec<HolderFact>> {
    let (cargo, npm) = (cargo(root, folder)?, npm::workspace(root, folder)?);
    let beside = |name: &str| -> Vec<String> { others.iter().map(|folder| join(folder, name)).collect() };
    let mut facts = Vec::new();
    for (kind, names, paths) in [
        ("cargo-requirements", &cargo.packages, [cargo.others.clone(), beside("Cargo.toml")].concat()),
        ("package-requirements", &npm.packages, [npm.others.clone(), beside("package.json")].concat()),
    ] {
        for path in BTreeSet::from_iter(paths) {
            let Some(text) = folders::text(root, &path)? else { continue };
            let fact = |packages: Vec<String>| HolderFact {
                path: path.clone(),
                kind: Some(kind.to_owned()),
                packages,
                ..HolderFact::default()
            };
            let unmet = fact(names.clone()).kind().and_then(|kind| holder::unmet(&kind, &text, next));
            // A manifest of somebody else that is broken says so when it is read as a holder itself.
            let unmet = unmet.unwrap_or_default();
            if let Some(unmet) = unmet.iter().find(|unmet| !unmet.is_whole) {
                return Err(refused(&path, &unmet.refusal(next)));
            }
            // One package after the other: each may be required in a version of its own.
            for package in unmet.into_iter().map(|unmet| unmet.package).collect::<BTreeSet<String>>() {
                let fact = fact(vec![package]);
                facts.push(stating(fact, &text).map_err(|error| refused(&path, &error))?);
            }
        }
    }
    Ok(facts)
}

struct Search<'a> {
    root: &'a Path,
    folder: &'a str,
    facts: Vec<HolderFact>,
}

impl Search<'_> {
    fn run(mut self) -> Result<Vec<HolderFact>> {
        let cargo = cargo(self.root, self.folder)?;
        for path in &cargo.manifests {
            self.add(path.clone(), &cargo.packages)?;
        }
        let artifacts = self.artifacts()?;
        let npm = npm::workspace(self.root, self.folder)?;
        for name in MANIFESTS {
            let packages = match name {
                "pom.xml" => artifacts.clone(),
                "package.json" => npm.packages.clone(),
                _ => self.names(name)?,
            };
            self.add(join(self.folder, name), &packages)?;
        }
        for name in self.projects() {
            self.add(join(self.folder, &name), &[])?;
        }
        let python = self.python()?;
        for path in python.iter().filter(|(_, is_read)| *is_read).map(|(path, _)| path) {
            // The file that the build reads it from.
            if self.add(path.clone(), &[])? {
                break;
            }
        }
        self.drop_placeholders();

        let echoes =
            |version: &Version, fact: &HolderFact| parse_version(&fact.version).as_ref() == Ok(version);
        let stated = self.facts.first().and_then(|first| parse_version(&first.version).ok());
        match &stated {
            Some(stated) => {
                self.members(&npm)?;
                self.locks(&cargo, &npm, stated)?;
                let names = BESIDE.iter().chain(&ECHOES).map(|name| join(self.folder, name));
                let others: Vec<String> = names.chain(python.into_iter().map(|(path, _)| path)).collect();
                for path in others {
                    self.add_if(HolderFact { path, ..HolderFact::default() }, |fact| echoes(stated, fact))?;
                }
                for path in self.modules()? {
                    let fact = HolderFact { path, packages: artifacts.clone(), ..HolderFact::default() };
                    self.add_if(fact, |fact| echoes(stated, fact))?;
                }
            }
            None => {
                let names = BESIDE.iter().map(|name| join(self.folder, name));
                let others: Vec<String> = names.chain(python.into_iter().map(|(path, _)| path)).collect();
                for path in others {
                    self.add_if(HolderFact { path, ..HolderFact::default() }, |_| true)?;
                }
            }
        }
        Ok(self.facts)
    }

    /// Adds a manifest that states a version; one that is broken is an error.
    fn add(&mut self, path: String, packages: &[String]) -> Result<bool> {
        if self.facts.iter().any(|fact| fact.path == path) {
            return Ok(false);
        }
        let Some(text) = self.text(&path)? else { return Ok(false) };
        let fact = HolderFact { path: path.clone(), packages: packages.to_vec(), ..HolderFact::default() };
        match stating(fact, &text) {
            Ok(fact) => {
                self.facts.push(fact);
                Ok(true)
            }
            // A manifest need not state a version: then it is no holder.
            Err(HolderError::Missing { .. } | HolderError::Dynamic { .. }) => Ok(false),
            Err(error) => Err(refused(&path, &error)),
        }
    }

    /// Adds a file that states what `is_wanted` says; one that cannot be read as a holder is none.
    fn add_if(&mut self, fact: HolderFact, is_wanted: impl Fn(&HolderFact) -> bool) -> Result<bool> {
        if self.facts.iter().any(|known| known.path == fact.path) {
            return Ok(false);
        }
        let Some(text) = self.text(&fact.path)? else { return Ok(false) };
        match stating(fact, &text) {
            Ok(fact) if is_wanted(&fact) => {
                self.facts.push(fact);
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Members of npm's workspace that state the version of its root, and what the others require of these.
    fn members(&mut self, npm: &Npm) -> Result<()> {
        let of = |name: &str| self.facts.iter().find(|fact| fact.path == join(self.folder, name));
        let own = of("lerna.json").or_else(|| of("package.json"));
        let Some(stated) = own.map(|fact| fact.version.clone()) else { return Ok(()) };
        for path in &npm.manifests {
            self.add(path.clone(), &npm.packages)?;
        }
        for path in &npm.others {
            let kind = Some("package-requirements".to_owned());
            let fact = HolderFact {
                path: path.clone(),
                kind,
                packages: npm.packages.clone(),
                ..HolderFact::default()
            };
            self.add_if(fact, |fact| fact.version == stated)?;
        }
        Ok(())
    }

    /// Lock files and what other manifests require, as far as they are of these packages.
    fn locks(&mut self, cargo: &Cargo, npm: &Npm, stated: &Version) -> Result<()> {
        let is_it = |fact: &HolderFact| {
            parse_version(&fact.version).is_ok_and(|version| holder::is_same(&version, stated))
        };
        for path in &cargo.others {
            let kind = Some("cargo-requirements".to_owned());
            let packages = cargo.packages.clone();
            self.add_if(HolderFact { path: path.clone(), kind, packages, ..HolderFact::default() }, is_it)?;
        }
        let folders: BTreeSet<&str> = [self.folder, ""].into_iter().collect();
        for folder in folders.into_iter().rev() {
            if !cargo.packages.is_empty() {
                self.add(join(folder, "Cargo.lock"), &cargo.packages)?;
            }
            for (manifest, locks) in [
                ("package.json", &["package-lock.json", "npm-shrinkwrap.json"][..]),
                ("pyproject.toml", &["uv.lock"][..]),
            ] {
                let states = self.facts.iter().any(|fact| fact.path == join(self.folder, manifest));
                let mut names = self.names(manifest)?;
                // Where the root has no name, everything in its lock would be taken for a member's.
                if manifest == "package.json" && !names.is_empty() {
                    names.clone_from(&npm.packages);
                }
                // A package without a name has a lock beside it all the same.
                if !states || (names.is_empty() && folder != self.folder) {
                    continue;
                }
                for lock in locks {
                    self.add(join(folder, lock), &names)?;
                }
            }
        }
        Ok(())
    }

    /// A manifest at 0.0.0 says that its version is kept elsewhere, where another one states a version.
    fn drop_placeholders(&mut self) {
        let zero = Version::new(0, 0, 0);
        let is_placeholder =
            |fact: &HolderFact| parse_version(&fact.version).is_ok_and(|version| core(&version) == zero);
        if !self.facts.iter().all(is_placeholder) {
            self.facts.retain(|fact| !is_placeholder(fact));
        }
    }

    /// The packages that a manifest of this folder names as its own.
    fn names(&self, manifest: &str) -> Result<Vec<String>> {
        names_in(self.root, &join(self.folder, manifest))
    }

    /// Projects of MSBuild and gems in the folder, and the version.rb of these.
    fn projects(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.root.join(self.folder)).into_iter().flatten().flatten();
        let names: BTreeSet<String> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        let mut projects = Vec::new();
        for name in names {
            match name.rsplit_once('.') {
                Some((_, "csproj" | "fsproj" | "vbproj")) => projects.push(name),
                Some((gem, "gemspec")) => {
                    let library = format!("lib/{}/version.rb", gem.replace('-', "/"));
                    let plain = format!("lib/{}/version.rb", gem.replace('-', "_"));
                    projects.push(name);
                    let there = [library, plain]
                        .into_iter()
                        .find(|path| self.root.join(self.folder).join(path).is_file());
                    projects.extend(there);
                }
                _ => {}
            }
            if projects.len() >= MOST {
                break;
            }
        }
        projects
    }

    /// Python modules that may state the version, and whether the build reads it from them.
    fn python(&self) -> Result<Vec<(String, bool)>> {
        let Some(text) = self.text(&join(self.folder, "pyproject.toml"))? else { return Ok(Vec::new()) };
        let project = python_project(&text).map_err(|error| refused("pyproject.toml", &error))?;
        let here = |path: String| join(self.folder, path.trim_start_matches("./"));
        let inside = |path: &String| !path.starts_with('/') && !path.split('/').any(|part| part == "..");
        let read = project.files.iter().filter(|path| inside(path)).cloned().map(|path| (here(path), true));
        let usual = project.name.iter().flat_map(|name| python_modules(name)).map(|path| (here(path), false));
        // Made from the tag: what a module may say of it is made as well.
        let made = project.is_dynamic && project.files.is_empty();
        Ok(read.chain(usual.filter(|_| !made)).collect())
    }

    /// The artifacts of the build whose root is here.
    fn artifacts(&self) -> Result<Vec<String>> {
        let mut artifacts = Vec::new();
        for path in [vec![join(self.folder, "pom.xml")], self.modules()?].concat() {
            artifacts.extend(names_in(self.root, &path)?);
        }
        Ok(artifacts)
    }

    /// The pom.xml of every module, and of their modules.
    fn modules(&self) -> Result<Vec<String>> {
        let mut found: Vec<String> = Vec::new();
        let mut folders = vec![self.folder.to_owned()];
        while let Some(folder) = folders.pop() {
            let path = join(&folder, "pom.xml");
            let Some(text) = self.text(&path)? else { continue };
            if found.len() >= MOST || found.contains(&path) {
                continue;
            }
            let project = maven_project(&text).map_err(|error| refused(&path, &error))?;
            for module in &project.modules {
                let module = module.trim_start_matches("./").trim_end_matches('/');
                // A module may be a file, which is then its own; `.` would lead round in circles.
                let plain = module.split('/').all(|part| !["", ".", ".."].contains(&part));
                if plain && !module.ends_with(".xml") {
                    folders.push(join(&folder, module));
                }
            }
            found.push(path);
        }
        found.retain(|path| *path != join(self.folder, "pom.xml"));
        found.sort();
        Ok(found)
    }

    fn text(&self, path: &str) -> Result<Option<String>> {
        // A folder of this name, or a file that is no text, is no holder; a manifest says so when it is added.
        if self.root.join(path).is_dir() {
            return Ok(None);
        }
        folders::text(self.root, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)], folder: &str) -> Vec<String> {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let place = root.path().join(path);
            std::fs::create_dir_all(place.parent().unwrap()).unwrap();
            std::fs::write(place, text).unwrap();
        }
        let facts = find(root.path(), folder).unwrap();
        facts
            .iter()
            .map(|fact| format!("{} {} {}", fact.path, fact.version, fact.packages.join(",")))
            .collect()
    }

    #[test]
    fn a_package_has_its_entries_in_the_files_of_the_whole() {
        let files = [
            (
                "Cargo.toml",
                "[workspace]\nmembers = [\"a\", \"b\"]\n[workspace.package]\nversion = \"9.0.0\"\n\
                 [workspace.dependencies]\na = { path = \"a\", version = \"1.2.0\" }\n",
            ),
            ("a/Cargo.toml", "[package]\nname = \"a\"\nversion = \"1.2.0\"\n"),
            (
                "b/Cargo.toml",
                "[package]\nname = \"b\"\nversion = \"2.0.0\"\n[dependencies]\na = { path = \"../a\", version = \"1.2.0\" }\n",
            ),
            (
                "Cargo.lock",
                "[[package]]\nname = \"a\"\nversion = \"1.2.0\"\n[[package]]\nname = \"b\"\nversion = \"2.0.0\"\n",
            ),
        ];
        let expect =
            ["a/Cargo.toml 1.2.0 a", "Cargo.toml 1.2.0 a", "b/Cargo.toml 1.2.0 a", "Cargo.lock 1.2.0 a"];
        assert_eq!(found(&files, "a"), expect);
        assert_eq!(found(&files, "b"), ["b/Cargo.toml 2.0.0 b", "Cargo.lock 2.0.0 b"]);
        let files = [
            ("package.json", "{\"name\": \"root\", \"private\": true}"),
            ("packages/a/package.json", "{\"name\": \"@sea/a\", \"version\": \"1.2.0\"}"),
            (
                "package-lock.json",
                "{\"name\": \"root\", \"packages\": {\"\": {\"name\": \"root\"}, \"packages/a\": {\"name\": \"@sea/a\", \"version\": \"1.2.0\"}}}",
            ),
        ];
        let expect = ["packages/a/package.json 1.2.0 @sea/a", "package-lock.json 1.2.0 @sea/a"];
        assert_eq!(found(&files, "packages/a"), expect);
        assert_eq!(found(&files, ""), [""; 0]);
    }

    #[test]
    fn a_file_where_a_folder_is_looked_for_is_skipped() {
        let manifest = "[workspace]\nmembers = [\"crates/*\", \"b\"]\n";
        let files = [
            ("Cargo.toml", manifest),
            ("crates/README.md", "members"),
            ("crates/a/Cargo.toml", "[package]\nname = \"a\"\nversion = \"1.2.0\"\n"),
            ("b", "no folder"),
        ];
        assert_eq!(found(&files, ""), ["crates/a/Cargo.toml 1.2.0 a"]);
        let pom = "<project><version>1.2.0</version><modules><module>core</module></modules></project>";
        assert_eq!(found(&[("pom.xml", pom), ("core", ""), ("version", "")], ""), ["pom.xml 1.2.0 "]);
    }

    #[test]
    fn modules_of_maven_are_known_by_group_and_artifact() {
        let files = [
            (
                "pom.xml",
                "<project><groupId>g</groupId><artifactId>p</artifactId><version>1.2.0</version><modules><module>c</module></modules></project>",
            ),
            (
                "c/pom.xml",
                "<project><parent><groupId>g</groupId><artifactId>p</artifactId><version>1.2.0</version></parent><artifactId>c</artifactId></project>",
            ),
        ];
        assert_eq!(found(&files, ""), ["pom.xml 1.2.0 p,g:p,c,g:c", "c/pom.xml 1.2.0 p,g:p,c,g:c"]);
    }

    #[test]
    fn members_of_npm_that_state_the_root_s_version_are_found() {
        let member = |name: &str, version: &str, rest: &str| {
            format!("{{\"name\": \"{name}\", \"version\": \"{version}\"{rest}}}")
        };
        let members = [
            ("packages/a/package.json", member("@sea/a", "1.2.0", "")),
            (
                "packages/b/package.json",
                member("@sea/b", "1.2.0", ", \"dependencies\": {\"@sea/a\": \"^1.2.0\"}"),
            ),
            (
                "packages/own/package.json",
                member(
                    "own",
                    "0.0.0",
                    ", \"dependencies\": {\"@sea/a\": \"1.2.0\", \"@sea/b\": \"workspace:*\"}",
                ),
            ),
            ("packages/test/package.json", member("test", "1.2.0", "")),
            ("packages/README.md", "members".to_owned()),
            ("tools/x/y/package.json", member("y", "1.2.0", "")),
        ];
        let lock = "{\"name\": \"sea\", \"version\": \"1.2.0\", \"packages\": {\"\": {\"version\": \"1.2.0\"}, \"packages/a\": {\"name\": \"@sea/a\", \"version\": \"1.2.0\"}}}";
        let pnpm = "packages:\n  - 'packages/*'\n  - tools/**\n  - '!**/test'\n";
        for (workspaces, file, text) in [
            (
                ", \"workspaces\": [\"packages/*\", \"tools/**\", \"!packages/test\"]",
                "package-lock.json",
                lock,
            ),
            (
                ", \"workspaces\": {\"packages\": [\"packages/*\", \"tools/*/*\", \"!**/test\"]}",
                "package-lock.json",
                lock,
            ),
            ("", "pnpm-workspace.yaml", pnpm),
        ] {
            let root = member("sea", "1.2.0", workspaces);
            let mut files: Vec<(&str, &str)> = vec![("package.json", &root), (file, text)];
            files.extend(members.iter().map(|(path, text)| (*path, text.as_str())));
            let names = "1.2.0 sea,@sea/a,@sea/b,y";
            let mut expect: Vec<String> = [
                "package.json",
                "packages/a/package.json",
                "packages/b/package.json",
                "tools/x/y/package.json",
                "packages/own/package.json",
            ]
            .iter()
            .map(|path| format!("{path} {names}"))
            .collect();
            expect.extend((file == "package-lock.json").then(|| format!("{file} {names}")));
            assert_eq!(found(&files, ""), expect, "{workspaces}");
        }
    }

    #[test]
    fn nothing_outside_of_the_folder_is_followed() {
        for pointer in ["../x/__init__.py", "/etc/version.py"] {
            let project = format!(
                "[project]\nname = \"a\"\ndynamic = [\"version\"]\n[tool.hatch.version]\npath = \"{pointer}\"\n"
            );
            let files =
                [("p/pyproject.toml", project.as_str()), ("x/__init__.py", "__version__ = \"1.2.0\"\n")];
            assert_eq!(found(&files, "p"), [""; 0]);
        }
        let pom = "<project><version>1.2.0</version><modules><module>..</module><module>.</module></modules></project>";
        assert_eq!(found(&[("pom.xml", pom)], ""), ["pom.xml 1.2.0 "]);
    }
}
