//! Forges: the releases that they show for tags.
//!
//! Of a forge's releases, this knows what all of them have: a name, a text, and whether it is a draft or a pre-release.
//! Tags are only read: none of the forges is ever asked for anything that makes or deletes one.

use reqwest::Method;
use serde_json::{Value, json};
use windlass_core::forge::{Kind, Project};
use windlass_core::text::sanitize_line;
use windlass_engine::action::{ActionError, Result};
use windlass_engine::context::Context;

use talk::{Access, Talk};

mod adoption;
mod talk;

pub use adoption::{Asset, Issue, Issues, Shown};

/// The most releases that are looked through for drafts of a tag: GitHub lists no more.
const MOST_LISTED: usize = 10_000;
/// How many are asked for at a time.
const PAGE: usize = 100;

/// What a release says.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct Content {
    /// Its title.
    pub name: String,
    /// Its text, Markdown.
    pub body: String,
    /// Only those who may write see it.
    pub draft: bool,
    /// It is marked as not for everybody.
    pub prerelease: bool,
}

impl Content {
    /// Whether people read the same: forges may change line ends and trailing space.
    pub fn same(&self, other: &Self) -> bool {
        let text = |text: &str| text.replace("\r\n", "\n").trim_end().to_owned();
        self.draft == other.draft
            && self.prerelease == other.prerelease
            && self.name.trim() == other.name.trim()
            && text(&self.body) == text(&other.body)
    }
}

/// A release on a forge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// What the forge calls it: a number, or on GitLab the moment it was made. Another one of the same tag has another.
    pub id: String,
    /// Its page.
    pub url: String,
    /// What it says.
    pub content: Content,
    /// The files that were added to it, by name; on GitLab the links.
    pub files: Vec<String>,
}

/// What a forge knows about a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// The ids it tells: of the tag's object, of the commit, or both.
    pub ids: Vec<String>,
}

/// A repository on a forge, with a token for it.
///
/// - GitHub: <https://docs.github.com/en/rest/releases/releases>, <https://docs.github.com/en/rest/git/refs>
/// - Forgejo and Gitea: <https://codeberg.org/api/swagger#/repository>
/// - GitLab: <https://docs.gitlab.com/api/releases/>, <https://docs.gitlab.com/api/tags/>
pub struct Forge {
    kind: Kind,
    talk: Talk,
}

impl Forge {
    /// The door to `project`.
    ///
    /// # Errors
    /// When the address is none, or the token holds what no header can.
    pub fn new(project: &Project, token: &str, context: &Context) -> Result<Self> {
        Ok(Self { kind: project.kind, talk: Talk::new(project, token, Access::Write, context)? })
    }

    /// The door to `project` for looking only; without a token, as everybody.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn reader(project: &Project, token: Option<&str>, context: &Context) -> Result<Self> {
        let access = if token.is_some() { Access::Read } else { Access::Public };
        Ok(Self { kind: project.kind, talk: Talk::new(project, token.unwrap_or_default(), access, context)? })
    }

    /// The most characters that a release's text may have.
    ///
    /// GitHub tells its limit only by refusing (`body is too long (maximum is 125000 characters)`); GitLab's is
    /// `Gitlab::Database::MAX_TEXT_SIZE_LIMIT`; Forgejo and Gitea have none.
    pub fn longest(kind: Kind) -> Option<usize> {
        match kind {
            Kind::GitHub => Some(125_000),
            Kind::GitLab => Some(1_000_000),
            Kind::Forgejo | Kind::Gitea => None,
        }
    }

    /// The tag, when the forge has it.
    ///
    /// # Errors
    /// When it does not answer, does not let us in, or has no such repository.
    pub async fn tag(&self, tag: &str) -> Result<Option<Tag>> {
        let doing = "look for the tag";
        // GitHub takes a ref as it is written, slashes included; the others take one part of the path.
        let parts: Vec<&str> = match self.kind {
            Kind::GitHub => ["git", "ref", "tags"].into_iter().chain(tag.split('/')).collect(),
            Kind::Forgejo | Kind::Gitea => vec!["tags", tag],
            Kind::GitLab => vec!["repository", "tags", tag],
        };
        let Some(found) = self.talk.get(doing, &parts, &[]).await? else {
            // No tag and no repository look the same.
            return self.require_repository().await.map(|()| None);
        };
        let ids = match self.kind {
            // A server that finds no ref of the name lists those that begin with it.
            Kind::GitHub if found["ref"] != format!("refs/tags/{tag}") => return Ok(None),
            Kind::GitHub => vec![&found["object"]["sha"]],
            Kind::Forgejo | Kind::Gitea => vec![&found["id"], &found["commit"]["sha"]],
            Kind::GitLab => vec![&found["target"], &found["commit"]["id"]],
        };
        Ok(Some(Tag { ids: ids.into_iter().filter_map(Value::as_str).map(str::to_owned).collect() }))
    }

    /// The release of a tag, drafts included.
    ///
    /// # Errors
    /// As [`Self::tag`], and [`ActionError::Final`] when there are several drafts of the tag: nobody knows which is meant.
    pub async fn find(&self, tag: &str) -> Result<Option<Release>> {
        if let Some(found) = self.published_of(tag).await? {
            return self.release(&found).map(Some);
        }
        match self.kind {
            Kind::GitHub => self.draft(tag).await,
            _ => self.require_repository().await.map(|()| None),
        }
    }

    /// The release of a tag as the forge answers it, without GitHub's drafts.
    async fn published_of(&self, tag: &str) -> Result<Option<Value>> {
        let parts: Vec<&str> = match self.kind {
            Kind::GitHub => ["releases", "tags"].into_iter().chain(tag.split('/')).collect(),
            Kind::Forgejo | Kind::Gitea => vec!["releases", "tags", tag],
            Kind::GitLab => vec!["releases", tag],
        };
        self.talk.get("look for the release", &parts, &[]).await
    }

    /// Nothing of a repository is found either where the repository itself is not.
    async fn require_repository(&self) -> Result<()> {
        let found = self.talk.get("look at the repository", &[], &[]).await?;
        found.map(drop).ok_or_else(|| self.talk.no_repository())
    }

    /// GitHub's draft of a tag. Drafts are found in the list of all releases only.
    async fn draft(&self, tag: &str) -> Result<Option<Release>> {
        let mut drafts = Vec::new();
        for page in 1..=MOST_LISTED / PAGE {
            let query = [("per_page", PAGE.to_string()), ("page", page.to_string())];
            let found = self.talk.get("look for drafts", &["releases"], &query).await?;
            let listed = found.ok_or_else(|| self.talk.no_repository())?;
            let listed = listed.as_array().map(Vec::as_slice).unwrap_or_default();
            let ours = listed.iter().filter(|one| one["tag_name"] == tag && one["draft"] == true);
            drafts.extend(ours.cloned());
            if listed.len() < PAGE {
                break;
            }
        }
        match drafts.as_slice() {
            [] => Ok(None),
            [draft] => self.release(draft).map(Some),
            [_, ..] => Err(ActionError::Final(format!(
                "{} has {} drafts of {}: delete those that are not meant, on {}",
                self.talk.place(),
                drafts.len(),
                sanitize_line(tag),
                self.talk.page("releases"),
            ))),
        }
    }

    /// Makes the release of a tag that is there.
    ///
    /// # Errors
    /// [`ActionError::Final`] when the forge refused it, so that it was surely not made.
    pub async fn create(&self, tag: &str, content: &Content) -> Result<Release> {
        let mut sent = self.sent(content);
        sent["tag_name"] = json!(tag);
        let made = self.talk.send("make the release", Method::POST, &["releases"], Some(&sent)).await?;
        self.kept(&made, content)
    }

    /// Changes a release to `content`.
    ///
    /// # Errors
    /// When the forge refuses it or does not answer.
    pub async fn update(&self, tag: &str, release: &Release, content: &Content) -> Result<Release> {
        let sent = self.sent(content);
        let (method, last) = match self.kind {
            Kind::GitLab => (Method::PUT, tag),
            _ => (Method::PATCH, release.id.as_str()),
        };
        let changed = self.talk.send("change the release", method, &["releases", last], Some(&sent)).await?;
        self.kept(&changed, content)
    }

    /// Deletes a release; its tag stays.
    ///
    /// # Errors
    /// When the forge refuses it or does not answer.
    pub async fn delete(&self, tag: &str, release: &Release) -> Result<()> {
        let last = if self.kind == Kind::GitLab { tag } else { release.id.as_str() };
        self.talk.send("delete the release", Method::DELETE, &["releases", last], None).await.map(drop)
    }

    fn sent(&self, content: &Content) -> Value {
        let Content { name, body, draft, prerelease } = content;
        match self.kind {
            Kind::GitLab => json!({ "name": name, "description": body }),
            // Without `legacy`, a fix of an older line would be shown as the latest release.
            Kind::GitHub => json!({
                "name": name, "body": body, "draft": draft, "prerelease": prerelease, "make_latest": "legacy",
            }),
            Kind::Forgejo | Kind::Gitea => {
                // An empty text is taken for none, and the one that is there stays: `EditRelease` in
                // <https://github.com/go-gitea/gitea/blob/main/routers/api/v1/repo/release.go>
                let body = if body.is_empty() { "\n" } else { body };
                json!({ "name": name, "body": body, "draft": draft, "prerelease": prerelease })
            }
        }
    }

    /// What the forge answered to a change, when it is the change.
    fn kept(&self, answer: &Value, content: &Content) -> Result<Release> {
        let release = self.release(answer)?;
        match release.content.same(content) {
            true => Ok(release),
            false => Err(ActionError::Failed(format!(
                "{} took the release, but keeps something else than it was sent: look at {}",
                self.talk.place(),
                release.url
            ))),
        }
    }

    fn release(&self, found: &Value) -> Result<Release> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let (id, url, body) = match self.kind {
            Kind::GitLab => (&found["created_at"], &found["_links"]["self"], &found["description"]),
            _ => (&found["id"], &found["html_url"], &found["body"]),
        };
        let id = text(id).or_else(|| id.as_u64().map(|id| id.to_string())).ok_or_else(|| {
            ActionError::Failed(format!("{} answered with no release that could be read", self.talk.place()))
        })?;
        let files = match self.kind {
            Kind::GitLab => &found["assets"]["links"],
            _ => &found["assets"],
        };
        let files = files.as_array().into_iter().flatten();
        Ok(Release {
            id,
            files: files.filter_map(|file| file["name"].as_str().map(sanitize_line)).collect(),
            url: sanitize_line(url.as_str().unwrap_or_default()),
            content: Content {
                name: text(&found["name"]).unwrap_or_default(),
                body: text(body).unwrap_or_default(),
                draft: found["draft"] == true,
                prerelease: found["prerelease"] == true,
            },
        })
    }
}
