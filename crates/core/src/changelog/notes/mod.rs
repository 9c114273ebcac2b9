//! Release notes and tag messages, for people.

mod builtin;
mod topic;
mod worded;
mod written;

use jiff::civil::Date;
use serde::Serialize;

use self::topic::Topic;
use self::worded::Beside;
use super::fill::Told;
use super::generate::{EntryContext, entry_context};
use super::{ChangelogError, EntryOptions, Site, Template, TemplateError, entry};
use crate::commit::{Commit, Conventional, Reference, Types};
use crate::text::{sanitize, sanitize_line};
use crate::version::{Channel, Version, core};

/// What notes are made from.
#[derive(Debug, Clone, Copy, Default)]
pub struct NotesInput<'a> {
    /// The version; `None` for what is not released yet.
    pub version: Option<&'a Version>,
    /// Its channel, as the project's rules have it: what is not for production gets a draft.
    pub channel: Channel,
    /// Its tag.
    pub tag: Option<&'a str>,
    /// The tag of the release before, when there is one.
    pub previous_tag: Option<&'a str>,
    /// The day of the release.
    pub date: Option<Date>,
    /// The project's name.
    pub project: Option<&'a str>,
    /// A person's summary; without one, that of the changelog, else the changes are counted.
    pub summary: Option<&'a str>,
    /// Where the whole changelog can be read.
    pub changelog_url: Option<&'a str>,
    /// The project's page.
    pub site: Option<&'a Site>,
    /// The changelog's text for the release. People wrote or reviewed it: the changes are told in its words.
    pub section: Option<&'a str>,
    /// The release's commits, newest first. They tell what breaks and who contributed, and without a section all.
    pub commits: &'a [Commit],
    /// The types of commits; the known ones without.
    pub types: Option<&'a Types>,
}

/// The content of release notes; the context of their templates. Texts are Markdown.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Notes {
    /// The version.
    pub version: Option<String>,
    /// The version these are a draft for, while it is tried out.
    pub draft_of: Option<String>,
    /// The tag.
    pub tag: Option<String>,
    /// The tag of the release before.
    pub previous_tag: Option<String>,
    /// The day, as YYYY-MM-DD.
    pub date: Option<String>,
    /// The project's name.
    pub project: Option<String>,
    /// What it is about, in a paragraph.
    pub summary: String,
    /// What breaks.
    pub breaking: Vec<Breaking>,
    /// How to upgrade, beside what is told for each breaking change.
    pub upgrade: Vec<String>,
    /// The changelog's words, where it has some; `sections` is empty then.
    pub changes: String,
    /// The changes made from commits.
    pub sections: Vec<Topical>,
    /// The changes as the commits tell them, whether the changelog has words or not.
    pub history: Vec<Topical>,
    /// What does not work yet.
    pub known_issues: Vec<String>,
    /// Everyone named as author or co-author.
    pub contributors: Vec<String>,
    /// How many commits there are, merges left out.
    pub commits: usize,
    /// The project's page.
    pub url: Option<String>,
    /// Where the tag can be compared with the one before.
    pub compare_url: Option<String>,
    /// Where the whole changelog can be read.
    pub changelog_url: Option<String>,
    /// The changelog's own words, with what only the commits know around them; `None` where it has no words.
    #[serde(skip)]
    worded: Option<String>,
}

/// Something that breaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Breaking {
    /// The change, in a line.
    pub text: String,
    /// What is told about it beyond that.
    pub details: Option<String>,
    /// How to come to the new version.
    pub guide: Option<String>,
}

/// The changes of one topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Topical {
    /// The heading.
    pub title: String,
    /// It is about what users see.
    pub for_users: bool,
    /// It is of interest to those who build the project only.
    pub internal: bool,
    /// The changes.
    entries: Vec<EntryContext>,
}

impl Notes {
    /// Gathers what is to be told.
    ///
    /// # Errors
    /// When the changelog's section cannot be read.
    pub fn collect(input: &NotesInput<'_>) -> Result<Self, ChangelogError> {
        let told = input.types.unwrap_or(&Types::default()).told(input.commits);
        let changes: Vec<Change<'_>> = told
            .iter()
            .rev()
            .filter(|(_, message)| !message.merge)
            .flat_map(|(commit, message)| {
                message.changes().iter().map(|change| Change { commit, message, change })
            })
            .collect();
        let section = input.section.map(str::trim).filter(|section| !section.is_empty());
        let written = section.map(written::read).transpose()?.unwrap_or_default();
        let options = EntryOptions { site: input.site.cloned(), ..EntryOptions::default() };
        let mut breaking: Vec<Breaking> = changes.iter().filter_map(|one| one.breaking(&options)).collect();
        let mut beside = Beside::of(&written, &breaking);
        for one in written.breaking {
            let words = bare(&one.text);
            if !breaking.iter().any(|known| words.contains(&bare(&known.text))) {
                breaking.push(one);
            }
        }
        let mut upgrade = written.upgrade;
        let mut known_issues = written.known_issues;
        for one in &changes {
            if one.change.breaking.is_none() {
                let guides = one.guides().map(|guide| entry::block(guide).replace("\n  ", "\n"));
                beside.upgrade.extend(guides);
            }
            let issues = one.footers().filter(|footer| footer.0.to_ascii_lowercase().starts_with("known"));
            beside.known_issues.extend(issues.map(|(_, text)| format!("- {}", entry::block(text))));
        }
        upgrade.extend(beside.upgrade.iter().cloned());
        known_issues.extend(beside.known_issues.iter().cloned());
        let pre_release = input.version.filter(|_| input.channel.is_prerelease());
        let history = sections(&changes, &options);
        let worded = section.map(|section| {
            let text = worded::around(section, written.summary.as_deref(), &beside);
            match pre_release {
                Some(version) => {
                    format!("> **Draft** of the notes of {}, as of {version}.\n\n{text}", core(version))
                }
                None => text,
            }
        });
        Ok(Self {
            version: input.version.map(Version::to_string),
            draft_of: pre_release.map(|version| core(version).to_string()),
            tag: input.tag.map(sanitize_line),
            previous_tag: input.previous_tag.map(sanitize_line),
            date: input.date.map(|date| date.to_string()),
            project: input.project.map(entry::inline),
            summary: input
                .summary
                .map(sanitize)
                .filter(|summary| !summary.trim().is_empty())
                .or(written.summary)
                .map_or_else(|| summary(input, &changes), |summary| summary.trim().to_owned()),
            breaking,
            upgrade,
            sections: match section {
                Some(_) => Vec::new(),
                None => history.clone(),
            },
            history,
            changes: written.changes,
            known_issues,
            contributors: contributors(&told).iter().map(|name| entry::inline(name)).collect(),
            commits: told.iter().filter(|(_, message)| !message.merge).count(),
            url: input.site.map(|site| site.url().to_owned()),
            compare_url: input.site.and_then(|site| {
                let to = input.tag.unwrap_or("HEAD");
                input.previous_tag.map(|from| site.compare(from, to))
            }),
            changelog_url: input.changelog_url.map(sanitize_line),
            worded,
        })
    }

    /// The changelog's own words as they stand; where it says nothing of what breaks, how to upgrade or what does
    /// not work yet, with what the commits tell of it. `None` where the changelog has no words.
    pub fn in_words(&self) -> Option<String> {
        self.worded.as_deref().map(finished)
    }

    /// The notes as a template makes them.
    ///
    /// # Errors
    /// When the template cannot be rendered.
    pub fn render(&self, template: &Template) -> Result<String, TemplateError> {
        Ok(finished(&template.render(self)?))
    }

    /// The notes as a built-in variant makes them; `None` when there is none of this name.
    ///
    /// # Errors
    /// When the template cannot be rendered.
    pub fn render_variant(&self, name: &str) -> Result<Option<String>, TemplateError> {
        let Some(variant) = builtin::VARIANTS.iter().find(|variant| variant.name == name) else {
            return Ok(None);
        };
        let text = Template::new(variant.name, variant.template)?.render(self)?;
        Ok(Some(finished(&tidy(&text))))
    }

    /// The breaking changes nobody told how to get over.
    pub fn without_guide(&self) -> Vec<&Breaking> {
        let told = !self.upgrade.is_empty();
        self.breaking.iter().filter(|one| one.guide.is_none() && !told).collect()
    }
}

/// The built-in variants: name and purpose. The first one is the default.
pub fn variants() -> impl Iterator<Item = (&'static str, &'static str)> {
    builtin::VARIANTS.iter().map(|variant| (variant.name, variant.purpose))
}

/// The template of a built-in variant, to begin one's own with.
pub fn variant_template(name: &str) -> Option<&'static str> {
    builtin::VARIANTS.iter().find(|variant| variant.name == name).map(|variant| variant.template)
}

/// The message of an annotated tag: `Release v1.2.0`, the summary after a dash when given, then `notes`.
///
/// The text is kept as it is, `#` headings included: pass it to git with `--cleanup=verbatim`.
pub fn tag_message(version: &Version, summary: Option<&str>, notes: &str) -> String {
    let subject = match summary.map(sanitize_line).filter(|summary| !summary.is_empty()) {
        Some(summary) => format!("Release v{version} — {summary}"),
        None => format!("Release v{version}"),
    };
    let notes = sanitize(notes);
    match notes.trim() {
        "" => format!("{subject}\n"),
        notes => format!("{subject}\n\n{notes}\n"),
    }
}

/// A change and the commit it came with.
struct Change<'a> {
    commit: &'a Commit,
    message: &'a Conventional<'a>,
    change: &'a Conventional<'a>,
}

impl Change<'_> {
    fn references(&self) -> &[Reference<'_>] {
        &self.message.references
    }

    /// The change's own trailers, else its commit's.
    fn footers(&self) -> impl Iterator<Item = (&str, &str)> {
        let own = self.change.footers.iter();
        own.map(|footer| (footer.token.as_ref(), footer.value.as_ref()))
    }

    fn guides(&self) -> impl Iterator<Item = &str> {
        self.change.guides()
    }

    fn breaking(&self, options: &EntryOptions) -> Option<Breaking> {
        let told = self.change.breaking.as_deref()?.trim();
        let guides: Vec<String> = self.guides().map(entry::block).collect();
        Some(Breaking {
            text: entry::text(self.change, self.references(), options.site.as_ref()),
            details: (told != self.change.description).then(|| entry::block(told)),
            guide: (!guides.is_empty()).then(|| guides.join("\n\n  ")),
        })
    }
}

fn sections(changes: &[Change<'_>], options: &EntryOptions) -> Vec<Topical> {
    let mut found: Vec<Topical> = Topic::ALL
        .into_iter()
        .filter_map(|topic| {
            let of_topic = changes
                .iter()
                .filter(|one| Topic::of(one.change) == topic && !one.change.description.is_empty());
            let entries: Vec<EntryContext> = of_topic
                .map(|one| {
                    let text = entry::text(one.change, one.references(), options.site.as_ref());
                    entry_context(Told::of(one.commit, one.change, text), options)
                })
                .collect();
            (!entries.is_empty()).then(|| Topical {
                title: topic.title().to_owned(),
                for_users: topic.is_for_users(),
                internal: topic == Topic::Internal,
                entries,
            })
        })
        .collect();
    // A project without the convention has all its changes under one heading.
    if let [only] = found.as_mut_slice() {
        only.for_users |= only.title == Topic::Other.title();
    }
    found
}

fn summary(input: &NotesInput<'_>, changes: &[Change<'_>]) -> String {
    let count = |topic: Topic| changes.iter().filter(|one| Topic::of(one.change) == topic).count();
    let plural =
        |count: usize, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
    let mut counted = Vec::new();
    for (topic, one, many) in [
        (Topic::Features, "new feature", "new features"),
        (Topic::Security, "security fix", "security fixes"),
        (Topic::Fixes, "bug fix", "bug fixes"),
    ] {
        if count(topic) > 0 {
            counted.push(plural(count(topic), one, many));
        }
    }
    let since = input.previous_tag.map_or(String::new(), |tag| format!(" since {}", sanitize_line(tag)));
    let told = match (counted.is_empty(), changes.is_empty()) {
        (false, _) => format!(": {}{since}", counted.join(", ")),
        (true, false) => format!(": {}{since}", plural(changes.len(), "change", "changes")),
        (true, true) => String::new(),
    };
    match input.version {
        Some(version) => format!("Version {version}{told}."),
        None => format!("Not released yet{told}."),
    }
}

/// Everyone named as author or co-author, in order of appearance; machines and addresses are left out.
fn contributors(told: &[(&Commit, Conventional<'_>)]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for (commit, understood) in told.iter().rev() {
        let co_authors = understood
            .footers
            .iter()
            .filter(|footer| footer.token.eq_ignore_ascii_case("co-authored-by"))
            .map(|footer| footer.value.split('<').next().unwrap_or(""));
        for name in std::iter::once(commit.author_name.as_str()).chain(co_authors) {
            let name = sanitize_line(name);
            if !name.is_empty() && !name.ends_with("[bot]") && seen.insert(name.clone()) {
                names.push(name);
            }
        }
    }
    names
}

/// A text's words alone, to tell whether two say the same.
fn bare(text: &str) -> String {
    let first = text.split("\n\n").next().unwrap_or(text);
    let words = first.split(" (").next().unwrap_or(first);
    words.chars().filter(|character| character.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// One blank line where a template left several, but for those in code.
fn tidy(text: &str) -> String {
    let mut tidied = String::with_capacity(text.len());
    let (mut blank, mut fence) = (0, None);
    for line in text.lines() {
        let bare = line.trim_start();
        match fence {
            Some(mark) if bare.starts_with(mark) => fence = None,
            Some(_) => {}
            None => fence = ["```", "~~~"].into_iter().find(|mark| bare.starts_with(mark)),
        }
        blank = if bare.is_empty() && fence.is_none() { blank + 1 } else { 0 };
        if blank < 2 {
            tidied.push_str(line);
            tidied.push('\n');
        }
    }
    tidied
}

fn finished(text: &str) -> String {
    format!("{}\n", sanitize(text).trim())
}
