//! A release that stays, and says that it was withdrawn.
//!
//! GitHub's "latest" moves back by itself: a pre-release cannot be it, and what is asked with `make_latest: legacy` is
//! chosen by date and version (<https://docs.github.com/en/rest/releases/releases#update-a-release>). Forgejo and Gitea
//! choose the newest that is no pre-release. The block is an alert, which GitHub, Forgejo, Gitea and GitLab show as such
//! (<https://docs.github.com/en/get-started/writing-on-github/getting-started-with-writing-and-formatting-on-github/basic-writing-and-formatting-syntax#alerts>,
//! <https://docs.gitlab.com/user/markdown/#alerts>), and others as a quotation.

use windlass_core::forge::Kind;
use windlass_core::text::sanitize;
use windlass_engine::action::{ActionError, Probe, Result, Undone};
use windlass_engine::context::Context;

use super::record::{Kept, Record};
use super::{Asked, How, Output};
use crate::adapters::forge::{Content, Forge, Release};

/// The lines around the block: nobody sees them, and a later warning takes the place of an earlier one.
const BEGIN: &str = "<!-- windlass: withdrawn -->";
const END: &str = "<!-- windlass: end -->";
/// What GitLab's title begins with.
const TITLE: &str = "[Withdrawn] ";

pub(super) async fn probe(asked: &Asked<'_>, forge: &Forge, context: &Context) -> Result<Probe<Output>> {
    let Some(found) = forge.find(&asked.tag).await? else { return Ok(Probe::Conflict(missing(asked))) };
    Ok(match found.content.same(&withdrawn(asked, &found.content)) {
        true => Probe::Done(output(asked, &found, Record::read(asked, context)?)),
        false => Probe::Absent,
    })
}

pub(super) async fn run(asked: &Asked<'_>, forge: &Forge, context: &Context) -> Result<Output> {
    let found = forge.find(&asked.tag).await?.ok_or_else(|| ActionError::Final(missing(asked)))?;
    let wanted = withdrawn(asked, &found.content);
    if found.content.same(&wanted) {
        return Ok(output(asked, &found, Record::read(asked, context)?));
    }
    let (length, kind) = (wanted.body.chars().count(), asked.project.kind);
    if let Some(longest) = Forge::longest(kind).filter(|longest| length > *longest) {
        return Err(ActionError::Final(format!(
            "with the warning, the text of {} would have {length} characters, and {kind} takes {longest}: say less in \
             `warning`, or leave it out",
            asked.place()
        )));
    }
    let record =
        Record { release: Some(Kept::from(&found)), asked: Some(wanted.clone()), ..Record::default() };
    record.write(asked, context)?;
    let changed = forge.update(&asked.tag, &found, &wanted).await;
    if matches!(changed, Err(ActionError::Final(_))) {
        Record::forget(asked, context);
    }
    let release = changed?;
    context.changed(asked.marked());
    context.log(&match kind {
        Kind::GitLab => {
            format!(
                "{}: its title and text say that it was withdrawn; GitLab has no other mark",
                asked.place()
            )
        }
        _ => format!("{} is marked as a pre-release", asked.place()),
    });
    Ok(output(asked, &release, Some(record)))
}

pub(super) async fn undo(
    asked: &Asked<'_>,
    forge: &Forge,
    output: &Output,
    context: &Context,
) -> Result<Undone> {
    let (Some(before), Some(content)) = (&output.before, &output.content) else {
        return Ok(Undone::NothingToDo);
    };
    let Some(found) = forge.find(&asked.tag).await? else { return Ok(Undone::NothingToDo) };
    if found.content.same(before) {
        Record::forget(asked, context);
        return Ok(Undone::NothingToDo);
    }
    if found.id != output.id || !found.content.same(content) {
        return Ok(Undone::NeedsHuman(format!(
            "somebody changed the release of {} after this run: look at {} yourself",
            asked.place(),
            found.url
        )));
    }
    forge.update(&asked.tag, &found, before).await?;
    Record::forget(asked, context);
    Ok(Undone::Reverted(format!("put back what the release of {} said before", asked.place())))
}

fn missing(asked: &Asked<'_>) -> String {
    format!("there is no release of {}, so there is none to mark", asked.place())
}

fn output(asked: &Asked<'_>, found: &Release, record: Option<Record>) -> Output {
    let mut output = Output {
        tag: asked.tag.clone(),
        how: How::Prerelease,
        url: found.url.clone(),
        id: found.id.clone(),
        content: Some(found.content.clone()),
        before: None,
        files: Vec::new(),
        object: None,
        remote: None,
        local: false,
    };
    if let Some(Record { release: Some(kept), asked: Some(wanted), .. }) = record {
        output.before = Some(kept.content);
        // What somebody wrote since then is not taken back with it.
        if !wanted.same(&found.content) {
            output.content = Some(wanted);
        }
    }
    output
}

/// What a release says once it is withdrawn; of one that says it already, the same.
fn withdrawn(asked: &Asked<'_>, found: &Content) -> Content {
    let is_gitlab = asked.project.kind == Kind::GitLab;
    let is_titled = !is_gitlab || found.name.starts_with(TITLE);
    let body = match &asked.params.warning {
        None if !is_gitlab => found.body.clone(),
        warning => warned(&asked.tag, warning.as_deref().unwrap_or_default(), &found.body),
    };
    Content {
        name: if is_titled { found.name.clone() } else { format!("{TITLE}{}", found.name) },
        body,
        draft: found.draft,
        prerelease: !is_gitlab,
    }
}

/// `body` under a block that says that the release was withdrawn, and `warning`. A block that is there is replaced.
fn warned(tag: &str, warning: &str, body: &str) -> String {
    let body = body.replace("\r\n", "\n");
    let rest = body
        .strip_prefix(BEGIN)
        .and_then(|rest| rest.split_once(&format!("\n{END}")))
        .map_or(body.as_str(), |(_, rest)| rest);
    let warning = sanitize(warning);
    let lines = warning.trim().lines().map(|line| format!("> {line}").trim_end().to_owned() + "\n");
    let lines: String = lines.collect();
    let block = format!("{BEGIN}\n> [!WARNING]\n> **{tag} was withdrawn.**\n{lines}{END}\n");
    format!("{block}\n{}", rest.trim_start_matches('\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_stands_at_the_top_and_only_once() {
        let first =
            warned("v1.1.0", "Go back to **v1.0.0**.\r\n\n\u{1b}[31mIt eats data.", "# Notes\r\n\r\n- a\n");
        assert_eq!(
            first,
            "<!-- windlass: withdrawn -->\n> [!WARNING]\n> **v1.1.0 was withdrawn.**\n> Go back to **v1.0.0**.\n>\n\
             > [31mIt eats data.\n<!-- windlass: end -->\n\n# Notes\n\n- a\n"
        );
        assert_eq!(warned("v1.1.0", "Go back to **v1.0.0**.\n\nIt eats data.", "x").lines().count(), 9);
        let again = warned("v1.1.0", "Corrected in v1.1.1.", &first);
        assert_eq!(
            again,
            "<!-- windlass: withdrawn -->\n> [!WARNING]\n> **v1.1.0 was withdrawn.**\n> Corrected in v1.1.1.\n\
             <!-- windlass: end -->\n\n# Notes\n\n- a\n"
        );
        // The same is the same, also as forges give it back, and whatever the warning holds.
        for warning in ["", "Corrected in v1.1.1.", END, &format!("{BEGIN}\n{END}")] {
            for body in ["", "# Notes\n", "a\n<!-- windlass: end -->\nb", BEGIN] {
                let once = warned("v1", warning, body);
                assert_eq!(warned("v1", warning, &once), once);
                assert_eq!(warned("v1", warning, &once.replace('\n', "\r\n")), once);
            }
        }
    }
}
