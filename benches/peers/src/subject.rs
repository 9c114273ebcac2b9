//! A repository to measure on: a copy of our own, and what git says is true of it.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use semver::Version;

use crate::{Result, git};

/// How the copy's commits can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// Packed, without a commit-graph.
    Plain,
    /// Packed, with a commit-graph that has changed-path Bloom filters.
    Graph,
}

impl fmt::Display for Variant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Plain => "without a commit-graph",
            Self::Graph => "with a commit-graph and changed-path filters",
        })
    }
}

/// A part of the repository with versions of its own.
#[derive(Debug, Clone)]
pub struct Package {
    /// Its name in `windlass.toml`.
    pub name: String,
    /// Its folder.
    pub path: String,
    /// What stands before the version in its tags.
    pub prefix: String,
    /// How many commits touch it, as different readings of "touch" count them.
    pub commits: Counts,
}

/// The same thing counted by several honest rules: a tool is right when it follows one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    /// The rules and their numbers; every commit first.
    pub rules: Vec<(&'static str, u64)>,
    /// What a tool can come to that tells the same change once in a release and neither a commit nor its revert, and
    /// other than conventional commits only where a release has nothing else.
    pub told_once: RangeInclusive<u64>,
}

impl Default for Counts {
    fn default() -> Self {
        Self { rules: Vec::new(), told_once: 0..=0 }
    }
}

impl Counts {
    /// The first rule by which the number is right.
    pub fn rule(&self, number: u64) -> Option<&'static str> {
        self.rules.iter().find(|(_, count)| *count == number).map(|(rule, _)| *rule)
    }

    /// The number by the first rule: every commit.
    pub fn all(&self) -> u64 {
        self.rules.first().map_or(0, |(_, count)| *count)
    }

    fn add(&mut self, other: &Self) {
        if self.rules.is_empty() {
            self.clone_from(other);
            return;
        }
        for ((_, sum), (_, count)) in self.rules.iter_mut().zip(&other.rules) {
            *sum += count;
        }
        let (least, most) = (self.told_once.start(), self.told_once.end());
        self.told_once = least + other.told_once.start()..=most + other.told_once.end();
    }
}

/// A copy, and the truth about it.
#[derive(Debug, Clone)]
pub struct Subject {
    /// What it is called in the tables.
    pub name: String,
    /// The copy.
    pub folder: PathBuf,
    /// The branch that is checked out.
    pub branch: String,
    /// What stands before the version in the tags of the whole repository.
    pub prefix: String,
    /// The highest version tag that HEAD contains.
    pub baseline: Option<String>,
    /// Commits since the baseline.
    pub unreleased: Counts,
    /// Commits in HEAD.
    pub full: Counts,
    /// How many version tags HEAD contains, and how many tags there are.
    pub tags: (usize, usize),
    /// The types its commits have, in lower case.
    pub types: BTreeSet<String>,
    /// Its packages.
    pub packages: Vec<Package>,
    /// The sum over all packages.
    pub all_packages: Counts,
}

impl Subject {
    /// The package that `one package` is measured on: the one most commits touch.
    pub fn package(&self) -> Option<&Package> {
        self.packages.iter().max_by_key(|package| package.commits.all())
    }

    /// The version of a text such as `v1.2.3`, by the repository's prefix.
    pub fn version(&self, text: &str) -> Option<Version> {
        Version::parse(text.strip_prefix(&self.prefix).unwrap_or(text)).ok()
    }

    /// Reads the truth about a prepared copy.
    ///
    /// # Errors
    /// When git fails.
    pub fn read(name: &str, folder: &Path, most_packages: usize) -> Result<Self> {
        let all_tags: Vec<String> = git::output(folder, &["tag"])?.lines().map(str::to_owned).collect();
        let merged: Vec<String> =
            git::output(folder, &["tag", "--merged", "HEAD"])?.lines().map(str::to_owned).collect();
        let with = |prefix: &str| all_tags.iter().filter(|tag| version_of(tag, prefix).is_some()).count();
        let prefix = if with("v") >= with("") { "v" } else { "" }.to_owned();
        let baseline = highest(&merged, &prefix);
        let range = baseline.as_ref().map_or_else(|| "HEAD".to_owned(), |tag| format!("{tag}..HEAD"));
        let mut subject = Self {
            name: name.to_owned(),
            folder: folder.to_owned(),
            branch: git::output(folder, &["symbolic-ref", "--short", "HEAD"])?,
            unreleased: counts(folder, &[&range, "--"], &HashSet::new())?,
            full: counts(folder, &["HEAD", "--"], &HashSet::new())?,
            tags: (merged.iter().filter(|tag| version_of(tag, &prefix).is_some()).count(), all_tags.len()),
            prefix,
            baseline,
            types: types(folder)?,
            packages: Vec::new(),
            all_packages: Counts::default(),
        };
        subject.packages = packages(&subject, &all_tags, most_packages)?;
        for package in &subject.packages {
            subject.all_packages.add(&package.commits);
        }
        Ok(subject)
    }
}

/// Makes the copy of a repository under `copies`, or finds the one made before.
///
/// # Errors
/// When git fails.
pub fn copy(source: &Path, copies: &Path) -> Result<PathBuf> {
    let source = source.canonicalize()?;
    let shown = source.to_string_lossy().replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
    let folder = copies.join(shown.trim_matches('-'));
    let state = |folder: &Path| -> Result<String> {
        let head = git::output(folder, &["rev-parse", "HEAD"])?;
        Ok(format!("{head} {}", git::output(folder, &["tag"])?.lines().count()))
    };
    if folder.exists() {
        if state(&folder).ok() == Some(state(&source)?) {
            return Ok(folder);
        }
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(copies)?;
    let (from, to) = (source.to_string_lossy(), folder.to_string_lossy());
    git::output(copies, &["clone", "--quiet", "--local", "--no-checkout", &from, &to])?;
    git::output(&folder, &["read-tree", "HEAD"])?;
    // The clone of a partial clone lacks files: those that are there are enough for tools that read the history.
    if git::output(&folder, &["checkout-index", "--quiet", "--all", "--force"]).is_err() {
        crate::session::progress(&format!("{from} has not all files of its HEAD"));
    }
    pack(&folder)?;
    Ok(folder)
}

/// Packs a copy, and keeps git from doing anything on its own while it is measured.
///
/// # Errors
/// When git fails.
pub fn pack(folder: &Path) -> Result<()> {
    for setting in [("gc.auto", "0"), ("maintenance.auto", "false"), ("core.commitGraph", "true")] {
        git::output(folder, &["config", setting.0, setting.1])?;
    }
    let itself = format!("file://{}", folder.display());
    if git::output(folder, &["remote", "set-url", "origin", &itself]).is_err() {
        git::output(folder, &["remote", "add", "origin", &itself])?;
    }
    // What a tool finds in the copy is committed or ours; ours is nothing to complain about.
    std::fs::create_dir_all(folder.join(".git/info"))?;
    std::fs::write(folder.join(".git/info/exclude"), crate::config::FILES.join("\n"))?;
    // A copy in one pack is packed already; and one of a partial clone has not all that packing would ask for.
    let counted = git::output(folder, &["count-objects", "-v"])?;
    if !(counted.lines().any(|line| line == "count: 0") && counted.lines().any(|line| line == "packs: 1")) {
        git::output(folder, &["gc", "--quiet", "--prune=now"])?;
    }
    Ok(())
}

/// Writes or removes the commit-graph.
///
/// # Errors
/// When git fails.
pub fn prepare(folder: &Path, variant: Variant) -> Result<()> {
    let info = folder.join(".git/objects/info");
    for stale in [info.join("commit-graph"), info.join("commit-graphs")] {
        if stale.is_dir() {
            std::fs::remove_dir_all(stale)?;
        } else if stale.exists() {
            std::fs::remove_file(stale)?;
        }
    }
    if variant == Variant::Graph {
        git::output(folder, &["commit-graph", "write", "--reachable", "--changed-paths", "--no-progress"])?;
    }
    Ok(())
}

fn version_of(tag: &str, prefix: &str) -> Option<Version> {
    Version::parse(tag.strip_prefix(prefix)?).ok()
}

fn highest(tags: &[String], prefix: &str) -> Option<String> {
    let versions = tags.iter().filter_map(|tag| Some((version_of(tag, prefix)?, tag)));
    versions.max_by(|left, right| left.0.cmp(&right.0)).map(|(_, tag)| tag.clone())
}

/// Every commit, and those that are no merges; of both those with a conventional subject.
fn counts(folder: &Path, rest: &[&str], without: &HashSet<String>) -> Result<Counts> {
    let (mut all, mut plain, mut conventional, mut plain_conventional, mut reverts) = (0, 0, 0, 0, 0);
    let mut subjects = HashSet::new();
    git::lines(folder, &[&["log", "--format=%H %p%x09%s"], rest].concat(), |line| {
        let (ids, subject) = line.split_once('\t').unwrap_or((line, ""));
        let (id, parents) = ids.split_once(' ').unwrap_or((ids, ""));
        if without.contains(id) {
            return;
        }
        let (is_merge, is_conventional) = (parents.contains(' '), is_conventional(subject));
        all += 1;
        plain += u64::from(!is_merge);
        conventional += u64::from(is_conventional);
        plain_conventional += u64::from(is_conventional && !is_merge);
        reverts += u64::from(subject.to_lowercase().starts_with("revert"));
        if is_conventional && !is_merge {
            let mut hasher = DefaultHasher::new();
            subject.to_lowercase().hash(&mut hasher);
            subjects.insert(hasher.finish());
        }
    })?;
    // Nothing said twice and nothing taken back: then every conventional commit is told.
    let is_told_whole = subjects.len() as u64 == plain_conventional && reverts == 0;
    let least = (subjects.len() as u64).saturating_sub(2 * reverts);
    Ok(Counts {
        rules: vec![
            ("all", all),
            ("no merges", plain),
            ("conventional", conventional),
            ("conventional, no merges", plain_conventional),
        ],
        told_once: if is_told_whole { conventional..=conventional } else { least..=all },
    })
}

/// The first types of the history, no more than a configuration should list.
fn types(folder: &Path) -> Result<BTreeSet<String>> {
    let mut types = BTreeSet::new();
    git::lines(folder, &["log", "--format=%s", "HEAD", "--"], |subject| {
        if types.len() < 200
            && let Some(kind) = kind(subject)
        {
            types.insert(kind.to_lowercase());
        }
    })?;
    Ok(types)
}

fn is_conventional(subject: &str) -> bool {
    kind(subject).is_some()
}

/// The type of `type(scope)!: text`.
fn kind(subject: &str) -> Option<&str> {
    let (head, text) = subject.split_once(": ")?;
    let head = head.strip_suffix('!').unwrap_or(head);
    let (kind, scope) = match head.split_once('(') {
        Some((kind, rest)) => (kind, rest.strip_suffix(')')),
        None => (head, Some("-")),
    };
    let is_word = !kind.is_empty() && kind.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let is_scope = scope.is_some_and(|scope| !scope.is_empty() && !scope.contains('('));
    (is_word && is_scope && !text.trim().is_empty()).then_some(kind)
}

/// The folders with a manifest, those most committed to first.
fn packages(subject: &Subject, tags: &[String], most: usize) -> Result<Vec<Package>> {
    const MANIFESTS: [&str; 3] = ["package.json", "Cargo.toml", "pyproject.toml"];
    const NOT_SHIPPED: [&str; 12] = [
        "test",
        "tests",
        "fixtures",
        "fixture",
        "examples",
        "example",
        "__tests__",
        "e2e",
        "benchmark",
        "benches",
        "templates",
        "goldens",
    ];
    let folder = &subject.folder;
    let mut found = Vec::new();
    git::lines(folder, &["ls-tree", "-r", "--name-only", "HEAD"], |line| {
        let parts: Vec<&str> = line.split('/').collect();
        if let [parents @ .., file] = parts.as_slice()
            && (2..=3).contains(&parents.len())
            && MANIFESTS.contains(file)
            && !parents.iter().any(|part| NOT_SHIPPED.contains(part))
        {
            found.push((parents.join("/"), (*file).to_owned()));
        }
    })?;
    found.dedup_by(|left, right| left.0 == right.0);
    // With hundreds of packages the bench would only get longer.
    found.truncate(most);
    let mut packages = Vec::new();
    for (path, manifest) in found {
        let base = path.rsplit('/').next().unwrap_or(&path).to_owned();
        let text = std::fs::read_to_string(folder.join(&path).join(&manifest)).unwrap_or_default();
        let stated = name_in(&manifest, &text).unwrap_or_else(|| base.clone());
        let mut prefixes = Vec::new();
        for name in [&stated, &base] {
            prefixes.extend(["@", "-v", "/v", "@v", "-", "/"].map(|between| format!("{name}{between}")));
        }
        let own = prefixes.into_iter().find(|own| tags.iter().any(|tag| version_of(tag, own).is_some()));
        let name = path.replace('/', "-");
        let prefix = own.unwrap_or_else(|| subject.prefix.clone());
        let commits = package_counts(folder, &path)?;
        packages.push(Package { name, path, prefix, commits });
    }
    Ok(packages)
}

fn name_in(manifest: &str, text: &str) -> Option<String> {
    if manifest == "package.json" {
        return serde_json::from_str::<serde_json::Value>(text).ok()?["name"].as_str().map(str::to_owned);
    }
    let line = text.lines().find(|line| line.starts_with("name = \""))?;
    line.split('"').nth(1).map(str::to_owned)
}

/// The merges that have a path as one of their parents has it: they changed nothing there, though git lists them for
/// the other parent's sake when it does not simplify.
fn one_sided(folder: &Path, path: &str) -> Result<HashSet<String>> {
    let arguments = ["log", "--full-history", "--merges", "--format=%H %P", "HEAD", "--", path];
    let merges = git::output(folder, &arguments)?;
    let asked: Vec<String> =
        merges.split_whitespace().map(|id| format!("{id}:{path}\n")).collect::<Vec<String>>();
    // A path that a commit lacks is answered with the commit's name in it.
    let told = git::answers(folder, &["cat-file", "--batch-check=%(objectname)"], &asked.concat())?;
    let mut trees = told.lines().map(|line| if line.ends_with(" missing") { "missing" } else { line });
    let mut found = HashSet::new();
    for merge in merges.lines() {
        let (id, parents) = merge.split_once(' ').unwrap_or((merge, ""));
        let own = trees.next().unwrap_or_default();
        let others: Vec<&str> = trees.by_ref().take(parents.split(' ').count()).collect();
        if others.contains(&own) {
            found.insert(id.to_owned());
        }
    }
    Ok(found)
}

/// What git lists for a path: without simplifying the history, and as it does by itself.
fn package_counts(folder: &Path, path: &str) -> Result<Counts> {
    let count = |options: &[&str]| {
        let arguments = [&["rev-list", "--count"], options, &["HEAD", "--", path]].concat();
        git::count(folder, &arguments)
    };
    let mut counts = counts(folder, &["--full-history", "HEAD", "--", path], &one_sided(folder, path)?)?;
    counts.rules.push(("all and one-sided merges", count(&["--full-history"])?));
    counts.rules.push(("all, simplified", count(&[])?));
    counts.rules.push(("no merges, simplified", count(&["--no-merges"])?));
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::{highest, is_conventional};

    #[test]
    fn conventional_subjects() {
        for (subject, expect) in [
            ("feat: add", true),
            ("feat(api)!: add", true),
            ("fix(@angular/cli): x", true),
            ("Merge branch 'x'", false),
            ("fix : x", false),
            ("fix():x", false),
            ("fix(: x", false),
            ("two words: x", false),
            ("feat: ", false),
        ] {
            assert_eq!(is_conventional(subject), expect, "{subject}");
        }
    }

    #[test]
    fn the_highest_version_is_by_precedence() {
        let tags = ["v1.9.0", "v1.10.0-rc.1", "v2", "core@9.0.0", "v1.10.0-next.9"].map(str::to_owned);
        assert_eq!(highest(&tags, "v").as_deref(), Some("v1.10.0-rc.1"));
        assert_eq!(highest(&tags, "core@").as_deref(), Some("core@9.0.0"));
        assert_eq!(highest(&tags, ""), None);
    }
}
