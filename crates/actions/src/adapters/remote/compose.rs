//! What docker compose does on a host, and what it makes of a release's files there.

use windlass_core::plan::sha256_hex;
use windlass_core::text::sanitize_line;
use windlass_engine::context::Context;

use super::{Container, Host, Kept, Lock, Record, RemoteError, Result};

/// Seconds that what an orchestrator that died left running is waited for.
const WAIT: &str = "180";

/// A call of `docker compose`.
#[derive(Debug, Clone)]
pub struct Compose<'a> {
    /// The folder of the release.
    pub release: &'a str,
    /// The files in it.
    pub files: &'a [String],
    /// What the files may refer to as `${NAME}`.
    pub environment: &'a [(String, String)],
    /// What to do.
    pub arguments: &'a [&'a str],
    /// The file that pins images, written beside the others first.
    pub pins: Option<Vec<u8>>,
    /// Its output is not logged.
    pub quiet: bool,
}

/// A file of a release: its path, and what is in it.
pub type File = (String, Vec<u8>);

/// What runs on a host of a compose project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// What compose makes of the release's files there, as JSON: their variables and `.env` put in. Not for showing.
    pub config: String,
    /// Its containers.
    pub containers: Vec<Container>,
}

/// What the registry has for the images of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The digests that each image is known by, in the order they were asked for.
    pub digests: Vec<Vec<String>>,
    /// The highest fence that the host had seen when all was told.
    pub fence: u64,
    /// Who held the lock then, if it is the first host; one whose time is over is told too.
    pub lock: Option<Lock>,
}

impl Running {
    /// A mark of these very containers, made of this configuration.
    pub fn mark(config: &str, containers: &[Container]) -> String {
        let mut text = config.to_owned();
        for container in containers {
            text.push('\n');
            text.push_str(&container.id);
        }
        sha256_hex(text.as_bytes())
    }

    /// Reads what the program printed; nothing when it did not come to the end.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut config = String::new();
        let mut containers = String::new();
        let mut is_whole = false;
        for line in text.lines() {
            match line.split_once(' ') {
                Some(("config", rest)) => {
                    config.push_str(rest);
                    config.push('\n');
                }
                Some(("container", rest)) => {
                    containers.push_str(rest);
                    containers.push('\n');
                }
                Some(("running", "end")) => is_whole = true,
                _ => {}
            }
        }
        is_whole.then(|| Self { config, containers: Container::parse_all(&containers) })
    }
}

impl Compose<'_> {
    /// The variables, as a command line that begins with `env`.
    fn environment(&self) -> Vec<String> {
        let mut line: Vec<String> = vec!["env".into()];
        line.extend(self.environment.iter().map(|(name, value)| format!("{name}={value}")));
        line
    }
}

impl Host {
    /// What is kept, without the history, and what runs, where the release of `call` is there already: in one question,
    /// which changes nothing. Nothing is told of what runs where docker cannot be asked.
    ///
    /// # Errors
    /// When what is kept cannot be read.
    pub async fn survey(&self, context: &Context, call: &Compose<'_>) -> Result<(Kept, Option<Running>)> {
        let mut words = vec![call.release];
        words.extend(call.files.iter().map(String::as_str));
        let finished = self.process(context, &call.environment(), "survey", &words, None, true).await?;
        let text = self.judge(context, "survey", None, finished)?;
        Ok((self.read(&text)?, Running::parse(&text)))
    }

    /// Puts files of a release there. With `mebibytes` it is looked first whether there is what a deployment needs:
    /// programs, rights, and so much space.
    ///
    /// # Errors
    /// What is missing; [`RemoteError::Fenced`] when the host has seen a higher fence.
    pub async fn put(
        &self,
        context: &Context,
        fence: u64,
        mebibytes: u32,
        release: &str,
        files: &[File],
    ) -> Result<()> {
        let mebibytes = mebibytes.to_string();
        let mut words = vec![mebibytes, release.to_owned()];
        let mut all = Vec::new();
        for (path, bytes) in files {
            words.extend([path.clone(), bytes.len().to_string()]);
            all.extend_from_slice(bytes);
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.fenced(context, fence, "put", &words, Some(all), true).await.map(drop)
    }

    /// Writes `record`, unless there is none to write, and then gives what runs of `project`.
    ///
    /// # Errors
    /// As [`Self::write`], and when docker cannot be asked.
    pub async fn begin(
        &self,
        context: &Context,
        fence: u64,
        record: Option<&Record>,
        project: &str,
        call: &Compose<'_>,
    ) -> Result<Running> {
        let given = fence.to_string();
        let mut words = vec![given.as_str(), project, call.release];
        words.extend(call.files.iter().map(String::as_str));
        let line = record.map(Record::line).transpose()?;
        let finished = self.process(context, &call.environment(), "begin", &words, line, true).await?;
        let text = self.judge(context, "begin", Some((fence, "docker compose config")), finished)?;
        Running::parse(&text)
            .ok_or_else(|| RemoteError::Failed(format!("{} did not tell all that runs there", self.name)))
    }

    /// Runs `docker compose` on files of a release, alone on the host; gives its standard output. What an orchestrator
    /// that died left running is waited for.
    ///
    /// # Errors
    /// As [`Self::write`], and when compose fails.
    pub async fn compose(&self, context: &Context, fence: u64, call: &Compose<'_>) -> Result<String> {
        let given = fence.to_string();
        let mut words = vec![given.as_str(), WAIT, call.release];
        words.extend(call.files.iter().map(String::as_str));
        words.push("--");
        words.extend(call.arguments);
        let what = format!("docker compose {}", call.arguments.first().unwrap_or(&""));
        let (line, pins) = (call.environment(), call.pins.clone());
        let finished = self.process(context, &line, "compose", &words, pins, call.quiet).await?;
        self.judge(context, "compose", Some((fence, &what)), finished)
    }

    /// Pulls the images of the files of `call`, and asks by which digests these ones are known then.
    ///
    /// # Errors
    /// As [`Self::compose`], and when one of them is not there.
    pub async fn resolve(
        &self,
        context: &Context,
        fence: u64,
        call: &Compose<'_>,
        images: &[&str],
    ) -> Result<Resolved> {
        let (given, count) = (fence.to_string(), call.files.len().to_string());
        let mut words = vec![given.as_str(), WAIT, &count, call.release];
        words.extend(call.files.iter().map(String::as_str));
        words.extend(images);
        let finished = self.process(context, &call.environment(), "resolve", &words, None, true).await?;
        let text = self.judge(context, "resolve", Some((fence, "docker compose pull")), finished)?;
        let digests = text.lines().filter_map(|line| line.strip_prefix("digests "));
        let digests = digests.map(|line| serde_json::from_str(line).unwrap_or_default()).collect();
        let kept = self.read(&text)?;
        Ok(Resolved { digests, fence: kept.fence, lock: kept.lock })
    }

    /// The containers of a compose project there, also those that ended.
    ///
    /// # Errors
    /// When docker cannot be asked.
    pub async fn containers(&self, context: &Context, project: &str) -> Result<Vec<Container>> {
        let text = self.call(context, "containers", &[project], None, true).await?;
        Ok(Container::parse_all(&text))
    }

    /// The last lines that a container said, on one line.
    pub async fn last_words(&self, context: &Context, container: &str) -> String {
        let text = self.call(context, "logs", &[container], None, true).await.unwrap_or_default();
        let lines: Vec<String> = text.lines().map(sanitize_line).filter(|line| !line.is_empty()).collect();
        let last = lines.get(lines.len().saturating_sub(3)..).unwrap_or_default().join("; ");
        context.world.masker.mask(&last).chars().take(400).collect()
    }
}
