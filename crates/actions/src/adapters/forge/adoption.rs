//! What a forge counts about releases: how often their files were downloaded, and the issues that carry a label.
//!
//! - GitHub: <https://docs.github.com/en/rest/releases/releases#list-releases> (`assets[].download_count`) and
//!   <https://docs.github.com/en/rest/issues/issues#list-repository-issues>, which lists pull requests too: they have the
//!   key `pull_request`
//! - Forgejo and Gitea: <https://codeberg.org/api/swagger#/issue/issueListIssues>: a label that is not there is passed
//!   over, and all issues are listed then; a page holds at most what the server allows (50, unless it is set otherwise)
//! - GitLab: <https://docs.gitlab.com/api/releases/>, whose links have no counts, and <https://docs.gitlab.com/api/issues/>

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use windlass_core::forge::Kind;
use windlass_core::text::sanitize_line;
use windlass_engine::action::Result;

use super::Forge;

/// The most pages that are looked through.
const MOST_PAGES: usize = 100;

/// A release as everybody sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Shown {
    /// Its tag.
    pub tag: String,
    /// Its title.
    pub name: String,
    /// Its page.
    pub url: String,
    /// Since when it is out.
    pub published: Option<Timestamp>,
    /// It is marked as not for everybody.
    pub prerelease: bool,
    /// The files that were added to it; on GitLab the links.
    pub assets: Vec<Asset>,
    /// How often its files were downloaded, all together; nothing where the forge does not count.
    pub downloads: Option<u64>,
}

/// A file of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Asset {
    /// Its name.
    pub name: String,
    /// How often it was downloaded; nothing where the forge does not count.
    pub downloads: Option<u64>,
}

/// An issue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Issue {
    /// Its number.
    pub number: u64,
    /// Its title.
    pub title: String,
    /// Its page.
    pub url: String,
    /// It is not closed.
    pub open: bool,
    /// When it was made.
    pub created: Option<Timestamp>,
}

/// The issues that carry a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issues {
    /// Newest first.
    pub issues: Vec<Issue>,
    /// There are more than can be looked through.
    pub truncated: bool,
}

impl Forge {
    /// The newest releases that are out, `most` at most, newest first; and whether there are more.
    ///
    /// # Errors
    /// When the forge does not answer, does not let us in, or has no such repository.
    pub async fn published(&self, most: usize) -> Result<(Vec<Shown>, bool)> {
        let order = match self.kind {
            Kind::GitLab => vec![("order_by", "released_at".to_owned()), ("sort", "desc".to_owned())],
            _ => Vec::new(),
        };
        let is_out = |one: &Value| one["draft"] != true;
        let found = self.listed("look at the releases", &["releases"], &order, &is_out, most).await?;
        let (listed, more) = found.ok_or_else(|| self.talk.no_repository())?;
        let mut shown: Vec<Shown> = listed.iter().map(|one| self.shown(one)).collect();
        shown.sort_by_key(|one| std::cmp::Reverse(one.published));
        Ok((shown, more))
    }

    /// The release of a tag, when it is out.
    ///
    /// # Errors
    /// As [`Self::published`].
    pub async fn published_as(&self, tag: &str) -> Result<Option<Shown>> {
        match self.published_of(tag).await? {
            Some(found) => Ok(Some(self.shown(&found)).filter(|_| found["draft"] != true)),
            None => self.require_repository().await.map(|()| None),
        }
    }

    /// The issues that carry `label`, open and closed; nothing where the repository has no issues.
    ///
    /// # Errors
    /// When the forge does not answer or does not let us in.
    pub async fn issues(&self, label: &str) -> Result<Option<Issues>> {
        let text = str::to_owned;
        let mut query = vec![("labels", text(label)), ("state", text("all"))];
        query.extend(match self.kind {
            Kind::GitHub => vec![("sort", text("created")), ("direction", text("desc"))],
            Kind::Forgejo | Kind::Gitea => vec![("type", text("issues"))],
            Kind::GitLab => {
                vec![("scope", text("all")), ("order_by", text("created_at")), ("sort", text("desc"))]
            }
        });
        let is_meant = |one: &Value| one["pull_request"].is_null() && carries(one, label);
        let found = self.listed("look at the issues", &["issues"], &query, &is_meant, usize::MAX).await?;
        Ok(found.map(|(listed, truncated)| {
            let mut issues: Vec<Issue> = listed.iter().filter_map(|one| self.issue(one)).collect();
            issues.sort_by_key(|issue| std::cmp::Reverse((issue.created, issue.number)));
            Issues { issues, truncated }
        }))
    }

    /// What a list holds, page after page: those that `keep` takes, `most` at most, and whether there are more.
    async fn listed(
        &self,
        doing: &str,
        parts: &[&str],
        query: &[(&str, String)],
        keep: &(dyn Fn(&Value) -> bool + Sync),
        most: usize,
    ) -> Result<Option<(Vec<Value>, bool)>> {
        let (size, named) = match self.kind {
            Kind::GitHub | Kind::GitLab => (100, "per_page"),
            Kind::Forgejo | Kind::Gitea => (50, "limit"),
        };
        let (mut kept, mut first) = (Vec::new(), 0);
        for page in 1..=MOST_PAGES {
            let mut query = query.to_vec();
            query.extend([(named, size.to_string()), ("page", page.to_string())]);
            let Some(found) = self.talk.get(doing, parts, &query).await? else { return Ok(None) };
            let listed = found.as_array().map(Vec::as_slice).unwrap_or_default();
            kept.extend(listed.iter().filter(|one| keep(one)).cloned());
            if kept.len() > most {
                kept.truncate(most);
                return Ok(Some((kept, true)));
            }
            // A server of one's own may allow less than is asked for.
            let full = match self.kind {
                Kind::GitHub | Kind::GitLab => size,
                Kind::Forgejo | Kind::Gitea => first.max(1),
            };
            if listed.len() < full {
                return Ok(Some((kept, false)));
            }
            first = listed.len();
        }
        Ok(Some((kept, true)))
    }

    fn shown(&self, found: &Value) -> Shown {
        let (url, published, assets) = match self.kind {
            Kind::GitLab => (&found["_links"]["self"], &found["released_at"], &found["assets"]["links"]),
            _ => (&found["html_url"], &found["published_at"], &found["assets"]),
        };
        let assets: Vec<Asset> = assets
            .as_array()
            .into_iter()
            .flatten()
            .map(|asset| Asset { name: line(&asset["name"]), downloads: asset["download_count"].as_u64() })
            .collect();
        Shown {
            tag: line(&found["tag_name"]),
            name: line(&found["name"]),
            url: line(url),
            published: moment(published),
            prerelease: found["prerelease"] == true,
            downloads: match self.kind {
                // A release without files was downloaded by nobody; one whose files are not counted, nobody knows.
                Kind::GitLab => None,
                _ => assets.iter().map(|asset| asset.downloads).sum(),
            },
            assets,
        }
    }

    fn issue(&self, found: &Value) -> Option<Issue> {
        let (number, url) = match self.kind {
            Kind::GitLab => ("iid", "web_url"),
            _ => ("number", "html_url"),
        };
        Some(Issue {
            number: found[number].as_u64()?,
            title: line(&found["title"]),
            url: line(&found[url]),
            open: found["state"] != "closed",
            created: moment(&found["created_at"]),
        })
    }
}

/// Whether an issue really has the label: forges compare without regard to case, and may have asked for another.
fn carries(issue: &Value, label: &str) -> bool {
    let labels = issue["labels"].as_array().into_iter().flatten();
    let mut names = labels.filter_map(|one| one.as_str().or(one["name"].as_str()));
    names.any(|name| name.eq_ignore_ascii_case(label))
}

fn line(value: &Value) -> String {
    sanitize_line(value.as_str().unwrap_or_default())
}

fn moment(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}
