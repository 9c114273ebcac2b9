//! An emulator of the forges' releases: not GitHub, Forgejo or GitLab, but what their documentation and sources say of
//! the few requests that releases and the issues about them need. The tags are those of a real bare repository.
//!
//! Strict: a wrong token, a field that the forge does not know, and a release for a tag that is not there (which a real
//! one would make silently) are refused, and the last two are kept as [`ForgeEmulator::complaints`].

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use windlass_core::forge::{Kind, Project};

use crate::serve::decoded;

/// The most characters of GitHub's releases.
const LONGEST: usize = 125_000;

/// A forge of one repository.
pub struct ForgeEmulator {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    kind: Kind,
    repository: String,
    bare: PathBuf,
    token: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    releases: Vec<Value>,
    issues: Vec<Value>,
    made: u64,
    /// Everybody may look.
    public: bool,
    /// The most of a page that Forgejo and Gitea give.
    page: Option<usize>,
    read_only: bool,
    requests: Vec<String>,
    complaints: Vec<String>,
    troubles: Vec<(&'static str, Trouble)>,
}

/// What goes wrong with a request.
#[derive(Debug, Clone)]
pub enum Trouble {
    /// It is answered so, and nothing is done: status, headers, body.
    Answer(u16, &'static str, &'static str),
    /// It is done, and the connection breaks before the answer.
    Lose,
    /// Nothing is done, and it is not answered.
    Hang,
    /// It is done, and not answered.
    Silence,
}

struct Asked {
    method: String,
    /// The parts of the path behind the repository's own, decoded.
    parts: Vec<String>,
    query: String,
    body: Value,
}

impl Asked {
    fn query(&self, name: &str) -> Option<String> {
        let mut pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| decoded(&value.replace('+', " ")))
    }
}

impl ForgeEmulator {
    /// A forge that shows `repository`, whose git is `bare`, to whoever has `token`. It ends with the process.
    pub fn start(kind: Kind, repository: &str, bare: &Path, token: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            kind,
            repository: repository.into(),
            bare: bare.to_owned(),
            token: token.into(),
            state: Mutex::default(),
        });
        let served = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let served = Arc::clone(&served);
                std::thread::spawn(move || served.serve(stream));
            }
        });
        Self { port, shared }
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The repository on it.
    pub fn project(&self) -> Project {
        let Shared { kind, repository, .. } = &*self.shared;
        Project { kind: *kind, url: self.url(), repository: repository.clone() }
    }

    /// Its releases as the forge shows them, drafts included.
    pub fn releases(&self) -> Vec<Value> {
        self.shared.state().releases.clone()
    }

    /// Somebody makes a release.
    pub fn add(&self, tag: &str, name: &str, body: &str, draft: bool) {
        let sent =
            json!({ "tag_name": tag, "name": name, "body": body, "description": body, "draft": draft });
        let made = self.shared.made(&mut self.shared.state(), &sent);
        self.shared.state().releases.push(made);
    }

    /// Somebody changes the text of a tag's release.
    pub fn edit(&self, tag: &str, body: &str) {
        let mut state = self.shared.state();
        let release = state.releases.iter_mut().find(|release| release["tag_name"] == tag).unwrap();
        let field = if self.shared.kind == Kind::GitLab { "description" } else { "body" };
        release[field] = json!(body);
    }

    /// Somebody adds a file to a tag's release, which was downloaded so often; what is there of the name is replaced.
    pub fn attach(&self, tag: &str, file: &str, downloads: u64) {
        let mut state = self.shared.state();
        let is_gitlab = self.shared.kind == Kind::GitLab;
        let release = state.releases.iter_mut().find(|release| release["tag_name"] == tag).unwrap();
        let assets = if is_gitlab { &mut release["assets"]["links"] } else { &mut release["assets"] };
        let added = match is_gitlab {
            true => json!({ "id": 1, "name": file, "url": "https://files.example/x", "link_type": "other" }),
            false => json!({ "id": 1, "name": file, "size": 10, "download_count": downloads }),
        };
        let assets = assets.as_array_mut().unwrap();
        assets.retain(|asset| asset["name"] != file);
        assets.push(added);
    }

    /// Somebody opens an issue, or on GitHub a pull request, which it lists among them.
    pub fn issue(&self, title: &str, labels: &[&str], open: bool, pull: bool) {
        let mut state = self.shared.state();
        let number = state.issues.len() + 1;
        let page = format!("https://forge.example/{}/issues/{number}", self.shared.repository);
        let created = format!("2026-02-01T{:02}:{:02}:00Z", number / 60 % 24, number % 60);
        let mut issue = match self.shared.kind {
            Kind::GitLab => json!({
                "iid": number, "title": title, "labels": labels, "web_url": page, "created_at": created,
                "state": if open { "opened" } else { "closed" },
            }),
            _ => json!({
                "number": number, "title": title, "html_url": page, "created_at": created,
                "labels": labels.iter().map(|name| json!({ "name": name })).collect::<Vec<_>>(),
                "state": if open { "open" } else { "closed" },
            }),
        };
        if pull {
            issue["pull_request"] = json!({ "url": page });
        }
        state.issues.push(issue);
    }

    /// Everybody may look from now on, without a token.
    pub fn public(&self) {
        self.shared.state().public = true;
    }

    /// Forgejo and Gitea give no more of a page than so many.
    pub fn page(&self, most: usize) {
        self.shared.state().page = Some(most);
    }

    /// The token may read from now on, and nothing else.
    pub fn read_only(&self) {
        self.shared.state().read_only = true;
    }

    /// The next request of `method` goes wrong.
    pub fn trouble(&self, method: &'static str, trouble: Trouble) {
        self.shared.state().troubles.push((method, trouble));
    }

    /// The next request whose target holds `part` goes wrong.
    pub fn trouble_at(&self, part: &'static str, trouble: Trouble) {
        self.trouble(part, trouble);
    }

    /// What it was asked: method and path.
    pub fn requests(&self) -> Vec<String> {
        self.shared.state().requests.clone()
    }

    /// How many requests asked for a change.
    pub fn writes(&self) -> usize {
        self.requests().iter().filter(|request| !request.starts_with("GET ")).count()
    }

    /// What it was asked for that nobody should ask a forge for.
    pub fn complaints(&self) -> Vec<String> {
        self.shared.state().complaints.clone()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream);
        loop {
            let (mut first, mut line, mut length, mut token, mut agent) =
                (String::new(), String::new(), 0, String::new(), false);
            if reader.read_line(&mut first)? == 0 {
                return Ok(());
            }
            while reader.read_line(&mut line)? > 2 {
                if let Some((name, value)) = line.split_once(':') {
                    match name.to_ascii_lowercase().as_str() {
                        "content-length" => length = value.trim().parse().unwrap_or(0),
                        "authorization" => token = value.trim().to_owned(),
                        "user-agent" => agent = true,
                        _ => {}
                    }
                }
                line.clear();
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body)?;
            let mut words = first.split(' ');
            let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let trouble = {
                let mut state = self.state();
                state.requests.push(format!("{method} {target}"));
                let at = state
                    .troubles
                    .iter()
                    .position(|(of, _)| *of == method || of.starts_with('/') && target.contains(of));
                at.map(|at| state.troubles.remove(at).1)
            };
            let (status, headers, text) = match trouble {
                Some(Trouble::Answer(status, headers, text)) => (status, headers, text.to_owned()),
                Some(Trouble::Hang) => {
                    // Until the other side has had enough.
                    let _ = reader.read_line(&mut line)?;
                    return Ok(());
                }
                other => {
                    let (status, answer) = self.answer(method, target, &token, agent, &body);
                    match other {
                        None => {}
                        Some(Trouble::Silence) => return reader.read_line(&mut line).map(drop),
                        Some(_) => return Ok(()),
                    }
                    (status, "", if status == 204 { String::new() } else { answer.to_string() })
                }
            };
            let head = format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {}\r\n\r\n", text.len());
            reader.get_mut().write_all(format!("{head}{text}").as_bytes())?;
        }
    }

    fn answer(&self, method: &str, target: &str, token: &str, agent: bool, body: &[u8]) -> (u16, Value) {
        let (base, scheme) = match self.kind {
            Kind::GitHub => (format!("/api/v3/repos/{}", self.repository), "Bearer"),
            Kind::Forgejo | Kind::Gitea => (format!("/api/v1/repos/{}", self.repository), "token"),
            Kind::GitLab => (format!("/api/v4/projects/{}", self.repository.replace('/', "%2F")), "Bearer"),
        };
        let is_public = self.state().public && token.is_empty() && method == "GET";
        if !is_public && token != format!("{scheme} {}", self.token) || !agent {
            return (401, json!({ "message": "Bad credentials" }));
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let Some(rest) = path.strip_prefix(&base).filter(|rest| rest.is_empty() || rest.starts_with('/'))
        else {
            return (404, json!({ "message": "Not Found" }));
        };
        let mut state = self.state();
        if state.read_only && method != "GET" {
            return (403, json!({ "message": "Resource not accessible by personal access token" }));
        }
        let asked = Asked {
            method: method.into(),
            parts: rest.split('/').filter(|part| !part.is_empty()).map(decoded).collect(),
            query: query.into(),
            body: serde_json::from_slice(body).unwrap_or_default(),
        };
        match self.kind {
            Kind::GitLab => self.gitlab(&mut state, &asked),
            _ => self.plain(&mut state, &asked),
        }
    }

    /// GitHub, Forgejo and Gitea.
    fn plain(&self, state: &mut State, asked: &Asked) -> (u16, Value) {
        let is_github = self.kind == Kind::GitHub;
        let parts: Vec<&str> = asked.parts.iter().map(String::as_str).collect();
        let missing = || (404, json!({ "message": "Not Found" }));
        match (asked.method.as_str(), parts.as_slice()) {
            ("GET", []) => (200, json!({ "full_name": self.repository })),
            ("GET", ["git", "ref", "tags", tag @ ..]) if is_github => match self.tag(&tag.join("/")) {
                Some((object, _)) => {
                    let name = format!("refs/tags/{}", tag.join("/"));
                    (200, json!({ "ref": name, "object": { "type": "tag", "sha": object } }))
                }
                None => missing(),
            },
            ("GET", ["tags", tag]) if !is_github => match self.tag(tag) {
                Some((object, commit)) => {
                    (200, json!({ "name": tag, "id": object, "commit": { "sha": commit } }))
                }
                None => missing(),
            },
            ("GET", ["releases", "tags", tag @ ..]) if is_github || tag.len() == 1 => {
                let tag = tag.join("/");
                let is_shown = |one: &&Value| one["tag_name"] == *tag && !(is_github && one["draft"] == true);
                state.releases.iter().find(is_shown).map_or_else(missing, |found| (200, found.clone()))
            }
            ("GET", ["releases"]) => {
                let newest: Vec<&Value> = state.releases.iter().rev().collect();
                (200, self.page_of(state, asked, &newest))
            }
            ("GET", ["issues"]) => (200, self.issues(state, asked)),
            ("POST", ["releases"]) => {
                let tag = asked.body["tag_name"].as_str().unwrap_or_default().to_owned();
                if let Some(refused) = self.refused(state, asked) {
                    return refused;
                }
                let is_double = |one: &Value| {
                    one["tag_name"] == tag
                        && !(is_github && (one["draft"] == true || asked.body["draft"] == true))
                };
                if state.releases.iter().any(is_double) {
                    return match is_github {
                        true => (
                            422,
                            json!({ "message": "Validation Failed", "errors": [
                                { "resource": "Release", "code": "already_exists", "field": "tag_name" },
                            ] }),
                        ),
                        false => (409, json!({ "message": "Release is has no Tag", "url": "/api/swagger" })),
                    };
                }
                let made = self.made(state, &asked.body);
                state.releases.push(made.clone());
                (201, made)
            }
            ("PATCH", ["releases", id]) => {
                if let Some(refused) = self.refused(state, asked) {
                    return refused;
                }
                let Some(found) = state.releases.iter_mut().find(|one| is_called(one, id)) else {
                    return missing();
                };
                for key in ["name", "body", "draft", "prerelease"] {
                    // Forgejo and Gitea take an empty text for none.
                    if let Some(value) = asked.body.get(key).filter(|value| is_github || **value != "") {
                        found[key] = value.clone();
                    }
                }
                (200, found.clone())
            }
            ("DELETE", ["releases", id]) => {
                if let Some(one) = state.releases.iter().find(|one| is_called(one, id)).cloned() {
                    self.require_tag_of(state, &one);
                }
                let before = state.releases.len();
                state.releases.retain(|one| !is_called(one, id));
                if state.releases.len() < before { (204, Value::Null) } else { missing() }
            }
            _ => self.odd(state, asked),
        }
    }

    fn gitlab(&self, state: &mut State, asked: &Asked) -> (u16, Value) {
        let parts: Vec<&str> = asked.parts.iter().map(String::as_str).collect();
        let missing = || (404, json!({ "message": "404 Not Found" }));
        match (asked.method.as_str(), parts.as_slice()) {
            ("GET", []) => (200, json!({ "path_with_namespace": self.repository })),
            ("GET", ["releases"]) => {
                let newest: Vec<&Value> = state.releases.iter().rev().collect();
                (200, self.page_of(state, asked, &newest))
            }
            ("GET", ["issues"]) => (200, self.issues(state, asked)),
            ("GET", ["repository", "tags", tag]) => match self.tag(tag) {
                Some((object, commit)) => {
                    (200, json!({ "name": tag, "target": object, "commit": { "id": commit } }))
                }
                None => (404, json!({ "message": "404 Tag Not Found" })),
            },
            ("POST", ["releases"]) => {
                if let Some(refused) = self.refused(state, asked) {
                    return refused;
                }
                if state.releases.iter().any(|one| one["tag_name"] == asked.body["tag_name"]) {
                    return (409, json!({ "message": "Release already exists" }));
                }
                let made = self.made(state, &asked.body);
                state.releases.push(made.clone());
                (201, made)
            }
            (method @ ("GET" | "PUT" | "DELETE"), ["releases", tag]) => {
                if let Some(refused) = (method == "PUT").then(|| self.refused(state, asked)).flatten() {
                    return refused;
                }
                let Some(at) = state.releases.iter().position(|one| one["tag_name"] == **tag) else {
                    return missing();
                };
                if method == "DELETE" {
                    let one = state.releases[at].clone();
                    self.require_tag_of(state, &one);
                    return (200, state.releases.remove(at));
                }
                if let (Some(fields), "PUT") = (asked.body.as_object(), method) {
                    for (key, value) in fields {
                        state.releases[at][key] = value.clone();
                    }
                }
                (200, state.releases[at].clone())
            }
            _ => self.odd(state, asked),
        }
    }

    /// The issues that are asked for, newest first but on GitLab and GitHub when they are not told to.
    fn issues(&self, state: &State, asked: &Asked) -> Value {
        let wanted = asked.query("labels").unwrap_or_default();
        let mut labels: Vec<&str> = wanted.split(',').filter(|label| !label.is_empty()).collect();
        let has = |issue: &Value, label: &str| {
            let mut names = issue["labels"].as_array().unwrap().iter();
            names.any(|one| {
                one.as_str().or(one["name"].as_str()).is_some_and(|name| name.eq_ignore_ascii_case(label))
            })
        };
        // Forgejo and Gitea pass over labels that are not there, so that all issues are listed.
        if matches!(self.kind, Kind::Forgejo | Kind::Gitea) {
            labels.retain(|label| state.issues.iter().any(|issue| has(issue, label)));
        }
        let is_meant = |issue: &&Value| {
            let is_state = match asked.query("state").as_deref() {
                Some("all") => true,
                _ => issue["state"] != "closed",
            };
            // GitHub knows no `type`.
            let is_type = self.kind == Kind::GitHub || issue["pull_request"].is_null();
            is_state && is_type && labels.iter().all(|label| has(issue, label))
        };
        let found: Vec<&Value> = state.issues.iter().rev().filter(is_meant).collect();
        self.page_of(state, asked, &found)
    }

    /// The page of `all` that is asked for.
    fn page_of(&self, state: &State, asked: &Asked, all: &[&Value]) -> Value {
        let number = |name: &str, usual: usize| {
            asked.query(name).and_then(|value| value.parse().ok()).unwrap_or(usual)
        };
        let size = match self.kind {
            Kind::GitHub | Kind::GitLab => number("per_page", 30).min(100),
            Kind::Forgejo | Kind::Gitea => number("limit", 30).min(state.page.unwrap_or(50)),
        };
        let page = number("page", 1).max(1);
        all.iter().skip((page - 1) * size).take(size).map(|one| (*one).clone()).collect()
    }

    /// Why what is sent is refused, if it is.
    fn refused(&self, state: &mut State, asked: &Asked) -> Option<(u16, Value)> {
        let known: &[&str] = match self.kind {
            Kind::GitHub => &["tag_name", "name", "body", "draft", "prerelease", "make_latest"],
            Kind::Forgejo | Kind::Gitea => &["tag_name", "name", "body", "draft", "prerelease"],
            Kind::GitLab => &["tag_name", "name", "description"],
        };
        let fields = asked.body.as_object().cloned().unwrap_or_default();
        if fields.is_empty() || fields.keys().any(|key| !known.contains(&key.as_str())) {
            state.complaints.push(format!("{} with {:?}", asked.method, fields.keys().collect::<Vec<_>>()));
            return Some((422, json!({ "message": "unknown fields" })));
        }
        let body = asked.body["body"].as_str().unwrap_or_default();
        if self.kind == Kind::GitHub && body.chars().count() > LONGEST {
            let why = json!({ "code": "custom", "field": "body", "message": "body is too long (maximum is 125000 characters)" });
            return Some((422, json!({ "message": "Validation Failed", "errors": [why] })));
        }
        if asked.method == "POST" {
            let tag = asked.body["tag_name"].as_str().unwrap_or_default();
            if self.tag(tag).is_none() {
                state.complaints.push(format!("a release of the tag {tag}, which is not there"));
                return Some((422, json!({ "message": "Ref is not specified" })));
            }
        }
        None
    }

    /// A release whose tag went first is a draft on GitHub by now, and on older GitLabs cannot be deleted at all.
    fn require_tag_of(&self, state: &mut State, release: &Value) {
        let tag = release["tag_name"].as_str().unwrap_or_default();
        if self.tag(tag).is_none() {
            state.complaints.push(format!("the release {tag} is deleted after its tag"));
        }
    }

    fn odd(&self, state: &mut State, asked: &Asked) -> (u16, Value) {
        state.complaints.push(format!("{} {:?}", asked.method, asked.parts));
        (404, json!({ "message": "Not Found" }))
    }

    fn made(&self, state: &mut State, sent: &Value) -> Value {
        state.made += 1;
        let (number, tag) = (state.made, &sent["tag_name"]);
        let page =
            format!("https://forge.example/{}/releases/tag/{}", self.repository, tag.as_str().unwrap_or(""));
        let moment = format!("2026-01-01T{:02}:{:02}:00Z", number / 60 % 24, number % 60);
        match self.kind {
            Kind::GitLab => json!({
                "tag_name": tag,
                "name": sent["name"],
                "description": sent["description"],
                "created_at": moment,
                "released_at": moment,
                "assets": { "count": 0, "links": [] },
                "_links": { "self": page },
            }),
            _ => json!({
                "id": number,
                "tag_name": tag,
                "name": sent["name"],
                "body": sent["body"],
                "draft": sent["draft"] == true,
                "prerelease": sent["prerelease"] == true,
                "html_url": page,
                "published_at": moment,
                "assets": [],
            }),
        }
    }

    /// The tag's object and its commit, by the bare repository.
    fn tag(&self, tag: &str) -> Option<(String, String)> {
        let resolve = |suffix: &str| {
            let name = format!("refs/tags/{tag}{suffix}");
            let output = Command::new("git")
                .arg("--git-dir")
                .arg(&self.bare)
                .args(["rev-parse", "--verify", "--quiet", "--end-of-options", &name])
                .output()
                .expect("the tests need git");
            output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        Some((resolve("")?, resolve("^{commit}")?))
    }
}

/// Whether the release has the number `id`.
fn is_called(release: &Value, id: &str) -> bool {
    release["id"].as_u64().is_some_and(|number| id.parse() == Ok(number))
}
