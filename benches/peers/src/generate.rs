//! A large history from a seed: the same seed gives the same commits, down to their ids.
//!
//! It looks like a product's: conventional commits (and some that are not), topic branches merged, releases with
//! `next` and `rc` before them, maintenance branches with patches, packages with tags of their own.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Stdio;

use crate::{Result, git};

/// How large, and from which seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale {
    /// Commits that the main branch contains, those of merged topics included.
    pub commits: usize,
    /// Tags in all.
    pub tags: usize,
    /// What chance begins with.
    pub seed: u64,
}

/// The packages, each in a folder of `packages`.
pub const PACKAGES: [&str; 6] = ["core", "cli", "web", "api", "store", "docs"];

/// Makes the repository in an empty folder.
///
/// # Errors
/// When git refuses the history.
pub fn generate(folder: &Path, scale: Scale) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    git::output(folder, &["init", "--quiet", "--object-format=sha1", "--initial-branch=main"])?;
    let mut import = git::command(folder, &["fast-import", "--quiet", "--date-format=raw"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    let stdin = import.stdin.take().ok_or("git fast-import without input")?;
    let mut writer = Writer::new(BufWriter::new(stdin), scale);
    writer.history()?;
    writer.out.flush()?;
    drop(writer);
    if !import.wait()?.success() {
        return Err("git fast-import refused the generated history".into());
    }
    git::output(folder, &["update-ref", "-d", "refs/heads/topic"])?;
    git::output(folder, &["reset", "--quiet", "--hard"])?;
    Ok(())
}

/// SplitMix64: a page of code less than a crate, and its numbers never change under us.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).unwrap_or_default()
    }

    fn is(&mut self, in_thousand: usize) -> bool {
        self.below(1000) < in_thousand
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

/// One changed file: its path and its new content.
type Change = (String, String);

struct Writer<W: Write> {
    out: W,
    scale: Scale,
    chance: Chance,
    mark: usize,
    on_main: usize,
    tagged: usize,
    now: u64,
    /// The last commits of the main branch: topics start from them.
    recent: Vec<usize>,
    release: Release,
    package_minor: [u64; PACKAGES.len()],
}

/// Where the train of releases is.
struct Release {
    major: u64,
    minor: u64,
    /// Which tag of the cycle comes next.
    turn: usize,
    /// The last stable release: its commit, and its numbers.
    stable: Option<(usize, u64, u64)>,
    patches: u64,
}

impl<W: Write> Writer<W> {
    fn new(out: W, scale: Scale) -> Self {
        Self {
            out,
            scale,
            chance: Chance(scale.seed),
            mark: 0,
            on_main: 0,
            tagged: 0,
            now: 1_400_000_000,
            recent: Vec::new(),
            release: Release { major: 1, minor: 0, turn: 0, stable: None, patches: 0 },
            package_minor: [0; PACKAGES.len()],
        }
    }

    fn history(&mut self) -> Result<()> {
        let mut changes = vec![("README.md".to_owned(), "# A product\n".to_owned())];
        for package in PACKAGES {
            let manifest = format!("{{\n  \"name\": \"{package}\",\n  \"private\": true\n}}\n");
            changes.push((format!("packages/{package}/package.json"), manifest));
        }
        let root = self.commit("refs/heads/main", "chore: begin", None, None, &changes)?;
        self.landed(root, 1);
        let gap = (self.scale.commits / (self.scale.tags + 1)).max(1);
        while self.on_main < self.scale.commits {
            let left = self.scale.commits - self.on_main;
            if left > 8 && self.chance.is(120) {
                self.topic()?
            } else {
                self.direct()?
            }
            if self.tagged < self.scale.tags && self.on_main >= gap * (self.tagged + 1) {
                self.tag_next()?;
            }
        }
        Ok(())
    }

    fn landed(&mut self, mark: usize, commits: usize) {
        self.on_main += commits;
        self.recent.push(mark);
        if self.recent.len() > 12 {
            self.recent.remove(0);
        }
    }

    fn tip(&self) -> Option<usize> {
        self.recent.last().copied()
    }

    fn direct(&mut self) -> Result<()> {
        let (message, changes) = self.work();
        let mark = self.commit("refs/heads/main", &message, self.tip(), None, &changes)?;
        self.landed(mark, 1);
        Ok(())
    }

    /// A topic branch that began some commits ago, merged.
    fn topic(&mut self) -> Result<()> {
        let start = self.recent[self.chance.below(self.recent.len())];
        let (mut tip, mut all, length) = (start, Vec::new(), 1 + self.chance.below(5));
        for _ in 0..length {
            let (message, changes) = self.work();
            tip = self.commit("refs/heads/topic", &message, Some(tip), None, &changes)?;
            all.extend(changes);
        }
        let number = 1000 + self.mark;
        let message = match self.chance.below(3) {
            0 => format!(
                "Merge pull request #{number} from acme/topic-{number}\n\nA topic of {length} commits"
            ),
            1 => format!("Merge branch 'topic-{number}' into main"),
            _ => format!("feat: topic {number} (#{number})"),
        };
        let mark = self.commit("refs/heads/main", &message, self.tip(), Some(tip), &all)?;
        self.landed(mark, length + 1);
        Ok(())
    }

    /// The next tag of the train: `next`s, candidates, a stable release, a patch of the line before, packages.
    fn tag_next(&mut self) -> Result<()> {
        let Some(tip) = self.tip() else { return Ok(()) };
        let (major, minor) = (self.release.major, self.release.minor);
        let turn = self.release.turn;
        self.release.turn = (turn + 1) % 10;
        match turn {
            0..=2 => self.tag(&format!("v{major}.{minor}.0-next.{turn}"), tip),
            4 | 5 => self.tag(&format!("v{major}.{minor}.0-rc.{}", turn - 4), tip),
            6 => {
                self.tag(&format!("v{major}.{minor}.0"), tip)?;
                self.release.stable = Some((tip, major, minor));
                self.release.patches = 0;
                (self.release.major, self.release.minor) =
                    if self.chance.is(100) { (major + 1, 0) } else { (major, minor + 1) };
                Ok(())
            }
            7 | 8 if self.release.stable.is_some() => self.patch(),
            _ => {
                let which = self.chance.below(PACKAGES.len());
                self.package_minor[which] += 1;
                self.tag(&format!("{}@1.{}.0", PACKAGES[which], self.package_minor[which]), tip)
            }
        }
    }

    /// Two fixes on the maintenance branch of the last stable release, and their tag.
    fn patch(&mut self) -> Result<()> {
        let Some((from, major, minor)) = self.release.stable else { return Ok(()) };
        let (branch, mut tip) = (format!("refs/heads/{major}.{minor}.x"), from);
        for _ in 0..2 {
            let (_, changes) = self.work();
            tip = self.commit(&branch, "fix: backport of a fix\n\nRefs: #7", Some(tip), None, &changes)?;
        }
        self.release.patches += 1;
        self.release.stable = Some((tip, major, minor));
        self.tag(&format!("v{major}.{minor}.{}", self.release.patches), tip)
    }

    fn tag(&mut self, name: &str, mark: usize) -> Result<()> {
        self.tagged += 1;
        if self.tagged.is_multiple_of(2) {
            writeln!(self.out, "reset refs/tags/{name}\nfrom :{mark}\n")?;
            return Ok(());
        }
        let message = format!("Release {name}\n");
        writeln!(self.out, "tag {name}\nfrom :{mark}")?;
        writeln!(self.out, "tagger Robot <robot@acme.example> {} +0000", self.now)?;
        writeln!(self.out, "data {}\n{message}", message.len())?;
        Ok(())
    }

    fn commit(
        &mut self,
        branch: &str,
        message: &str,
        from: Option<usize>,
        merge: Option<usize>,
        changes: &[Change],
    ) -> Result<usize> {
        const PEOPLE: [&str; 8] = [
            "Ada Lovelace <ada@acme.example>",
            "Zoë Müller <zoe@acme.example>",
            "Grace Hopper <grace@acme.example>",
            "José Núñez <jose@acme.example>",
            "renovate[bot] <bot@acme.example>",
            "Linus T. <linus@acme.example>",
            "山田太郎 <taro@acme.example>",
            "Mary O'Neil <mary@acme.example>",
        ];
        self.mark += 1;
        self.now += 60 + self.chance.below(3000) as u64;
        let who = self.chance.pick(&PEOPLE);
        writeln!(self.out, "commit {branch}\nmark :{}", self.mark)?;
        writeln!(self.out, "author {who} {0} +0100\ncommitter {who} {0} +0100", self.now)?;
        writeln!(self.out, "data {}\n{message}", message.len())?;
        if let Some(from) = from {
            writeln!(self.out, "from :{from}")?;
        }
        if let Some(merge) = merge {
            writeln!(self.out, "merge :{merge}")?;
        }
        for (path, content) in changes {
            writeln!(self.out, "M 100644 inline {path}\ndata {}\n{content}", content.len())?;
        }
        writeln!(self.out)?;
        Ok(self.mark)
    }

    /// A commit's message and what it changes.
    fn work(&mut self) -> (String, Vec<Change>) {
        let package = self.chance.pick(&PACKAGES);
        let mut changes = Vec::new();
        for _ in 0..=self.chance.below(3) {
            let (folder, file) = (self.chance.below(8), self.chance.below(12));
            let path = match self.chance.below(20) {
                0 => format!("scripts/task-{file}.sh"),
                _ => format!("packages/{package}/src/part-{folder}/file-{file}.ts"),
            };
            changes.push((path, format!("export const value = {};\n", self.chance.next())));
        }
        (self.message(package), changes)
    }

    fn message(&mut self, package: &str) -> String {
        const TYPES: [&str; 20] = [
            "feat", "feat", "feat", "feat", "fix", "fix", "fix", "fix", "fix", "fix", "chore", "chore",
            "docs", "docs", "refactor", "test", "test", "perf", "build", "ci",
        ];
        const VERBS: [&str; 10] =
            ["add", "remove", "handle", "support", "rename", "speed up", "simplify", "guard", "log", "retry"];
        const THINGS: [&str; 12] = [
            "empty lists",
            "the parser",
            "large files",
            "a timeout",
            "proxies",
            "the cache",
            "unicode names",
            "nested menus",
            "old browsers",
            "the error page",
            "rate limits",
            "déjà-vu keys",
        ];
        let (verb, thing) = (self.chance.pick(&VERBS), self.chance.pick(&THINGS));
        let number = self.mark;
        if self.chance.is(30) {
            return format!("{verb} {thing} in {package}, part {number}");
        }
        let (kind, breaks) = (self.chance.pick(&TYPES), self.chance.is(4));
        let scope = if self.chance.is(600) { format!("({package})") } else { String::new() };
        let mut text = format!("{kind}{scope}{}: {verb} {thing} {number}", if breaks { "!" } else { "" });
        if self.chance.is(400) {
            text.push('\n');
            for line in 0..=self.chance.below(4) {
                text.push_str(&format!(
                    "\nIt did not {verb} {thing} when line {line} of the input was long."
                ));
            }
        }
        if breaks {
            text.push_str(&format!("\n\nBREAKING CHANGE: {thing} are no longer accepted by {package}."));
        } else if self.chance.is(200) {
            text.push_str(&format!("\n\nRefs: #{number}\nReviewed-by: Grace Hopper <grace@acme.example>"));
        }
        text
    }
}
