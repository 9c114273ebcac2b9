//! The programs of a database, where they run: on its host by ssh, or on this machine.
//!
//! One fixed program runs there. What is secret reaches it on standard input, everything else as an argument.

use jiff::Timestamp;
use windlass_core::config::{Database, Environment};
use windlass_core::plan::sha256_hex;
use windlass_core::text::sanitize_line;
use windlass_engine::action::{ActionError, Result};
use windlass_engine::context::Context;
use windlass_engine::process::{Command, Finished};

use crate::adapters::ssh::Target;
use crate::deploy;

const PROGRAM: &str = include_str!("program.sh");
/// Becomes another account: `sh -c BECOME ACCOUNT PROGRAM...`.
const BECOME: &str = r#"[ "$(id -un)" != "$0" ] || exec "$@"
[ "$(id -u)" != 0 ] || exec runuser -u "$0" -- "$@"
exec sudo -n -u "$0" -- "$@""#;
/// What cannot be restored.
const UNFIT: i32 = 65;
/// Something is missing there.
const MISSING: i32 = 71;

/// The programs of an environment's database.
#[derive(Clone)]
pub struct Tools<'a> {
    /// The environment's name.
    pub environment: &'a str,
    /// The database.
    pub database: &'a Database,
    context: &'a Context,
    ssh: Option<Target>,
    variables: Vec<(String, String)>,
}

/// A program's last words, when it did not do what it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// What was asked for cannot be restored.
    Unfit(String),
    /// Anything else.
    Other(ActionError),
}

impl From<Trouble> for ActionError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Unfit(why) => Self::Final(why),
            Trouble::Other(error) => error,
        }
    }
}

impl From<ActionError> for Trouble {
    fn from(error: ActionError) -> Self {
        Self::Other(error)
    }
}

/// Without the variables: some are secret.
impl std::fmt::Debug for Tools<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Tools").field("environment", &self.environment).finish_non_exhaustive()
    }
}

impl<'a> Tools<'a> {
    /// The programs of the database of `environment`.
    ///
    /// # Errors
    /// When the environment has no database, or a secret is not configured.
    pub fn new(environment: &'a str, target: &'a Environment, context: &'a Context) -> Result<Self> {
        let database = known(environment, target)?;
        let backup = &database.backup;
        let ssh = database.host.as_ref().map(|host| Target {
            host: host.clone(),
            user: target.user.clone(),
            config: deploy::ssh_config(target, context),
        });
        let mut variables = connection(database, context)?;
        variables.push(("WINDLASS_MAINTENANCE".into(), database.maintenance.clone()));
        variables.extend(database.programs.clone().map(|folder| ("WINDLASS_PROGRAMS".to_owned(), folder)));
        variables.extend(backup.repository.clone().map(|place| ("RESTIC_REPOSITORY".to_owned(), place)));
        let named = backup.password.iter().map(|name| ("RESTIC_PASSWORD", name));
        for (variable, name) in named.chain(backup.secrets.iter().map(|name| (name.as_str(), name))) {
            variables.push((variable.to_owned(), context.secret(name)?.to_owned()));
        }
        if let Some((name, _)) = variables.iter().find(|(_, value)| value.contains(['\n', '\0'])) {
            return Err(ActionError::Final(format!(
                "the value of {name} holds a line break, and cannot be given to programs: give it one without"
            )));
        }
        Ok(Self { environment, database, context, ssh, variables })
    }

    /// Where the programs run, for people.
    pub fn place(&self) -> &str {
        self.database.host.as_deref().unwrap_or("this machine")
    }

    /// The folder of the backups.
    ///
    /// # Errors
    /// When the configuration has none.
    pub fn folder(&self) -> Result<&str> {
        let table = format!("[environments.{}.database.backup]", self.environment);
        self.database.backup.check().map_err(|why| ActionError::Final(format!("{table} {why}")))?;
        Ok(self.database.backup.folder.as_deref().unwrap_or_default())
    }

    /// Runs one operation of the program, which gives its standard output.
    ///
    /// # Errors
    /// What the program said, and where.
    pub async fn call(
        &self,
        operation: &str,
        words: &[&str],
        more: &[(&str, &str)],
        stdin: &str,
    ) -> std::result::Result<String, Trouble> {
        let folder = self.database.backup.folder.as_deref().unwrap_or("/nowhere");
        let mut input = String::new();
        let more = more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        for (name, value) in self.variables.iter().cloned().chain(more) {
            input.push_str(&format!("{name}={}\n", value.replace(['\n', '\0'], " ")));
        }
        input.push('\n');
        input.push_str(stdin);
        let mut line = Vec::new();
        if let Some(account) = &self.database.account {
            line.extend(["sh", "-c", BECOME, account.as_str()]);
        }
        line.extend(["sh", "-c", PROGRAM, "windlass", operation, folder]);
        line.extend(words);
        let finished = match &self.ssh {
            Some(target) => target
                .run(self.context, &line, Some(input.into_bytes()), true)
                .await
                .map_err(|error| Trouble::Other(error.into()))?,
            None => {
                let (program, rest) = line.split_first().unwrap_or((&"sh", &[]));
                let command = Command::new(*program).args(rest.iter().copied()).stdin(input).quiet();
                self.context.process(&command).await.map_err(Trouble::Other)?
            }
        };
        self.judge(operation, &finished)
    }

    fn judge(&self, operation: &str, finished: &Finished) -> std::result::Result<String, Trouble> {
        let text = String::from_utf8_lossy(&finished.stdout).into_owned();
        let place = self.place();
        let told = self.told(&finished.stderr);
        match finished.code {
            Some(0) => Ok(text),
            Some(UNFIT) => Err(Trouble::Unfit(told)),
            Some(MISSING) => Err(Trouble::Other(ActionError::Final(format!("{place}: {told}")))),
            // Another answer would be the same: the server is there, and says no.
            Some(_) if told.contains("authentication failed") || told.contains("permission denied") => {
                Err(Trouble::Other(ActionError::Final(format!(
                    "{place}: {told}; check `user` and `password` of [environments.{}.database]",
                    self.environment
                ))))
            }
            Some(code) => {
                let why = format!("{place}: {operation} failed ({code}): {told}");
                Err(Trouble::Other(ActionError::Failed(why)))
            }
            None => {
                let why = format!("{place}: {operation} was ended by a signal: {told}");
                Err(Trouble::Other(ActionError::Failed(why)))
            }
        }
    }

    fn told(&self, stderr: &[u8]) -> String {
        let text = String::from_utf8_lossy(stderr);
        let lines: Vec<String> = text.lines().map(sanitize_line).filter(|line| !line.is_empty()).collect();
        let last = lines.get(lines.len().saturating_sub(4)..).unwrap_or_default().join("; ");
        let last: String = self.context.world.masker.mask(&last).chars().take(600).collect();
        if last.is_empty() { "it did not say why".into() } else { last }
    }

    /// What SQL gives on a database, with values that psql binds to `:'NAME'` and `:"NAME"`.
    ///
    /// # Errors
    /// What psql said.
    pub async fn query(&self, database: &str, sql: &str, values: &[(&str, &str)]) -> Result<String> {
        let values: Vec<String> = values.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut words = vec![database];
        words.extend(values.iter().map(String::as_str));
        let text = self.call("query", &words, &[], sql).await.map_err(ActionError::from)?;
        Ok(text.trim_end_matches('\n').to_owned())
    }

    /// The schema's newest migration, where the configuration says how it is asked for.
    ///
    /// # Errors
    /// When it cannot be asked for.
    pub async fn schema(&self) -> Result<Option<String>> {
        let Some(query) = &self.database.schema else { return Ok(None) };
        let told = self.query(&self.database.name, query, &[]).await.map_err(|error| {
            let about = format!("the `schema` query of [environments.{}.database]", self.environment);
            match error {
                ActionError::Failed(why) => ActionError::Failed(format!("{about}: {why}")),
                error => error,
            }
        })?;
        let head = sanitize_line(&told.lines().collect::<Vec<_>>().join(", "));
        Ok((!head.is_empty()).then_some(head))
    }

    /// A name made of the database's, `what` and the run: always the same, and at most 63 bytes.
    pub fn name_for(&self, what: &str, run: &str) -> String {
        let plain: String = run
            .chars()
            .map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '_' })
            .collect();
        let whole = format!("{}_{what}_{plain}", self.database.name);
        if whole.len() <= 63 {
            return whole;
        }
        let mark = sha256_hex(run.as_bytes());
        format!("{}_{what}_{}", self.database.name, mark.get(..10).unwrap_or(&mark))
    }

    /// Now, by the clock of the machine where the backups are.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub async fn now(&self) -> Result<Timestamp> {
        let text = self.call("look", &[], &[], "").await.map_err(ActionError::from)?;
        moment(&value(&text, "now")?)
    }
}

/// The database of an environment.
///
/// # Errors
/// When it has none.
pub fn known<'a>(environment: &str, target: &'a Environment) -> Result<&'a Database> {
    target.database.as_ref().ok_or_else(|| {
        ActionError::Final(format!(
            "the environment {environment} has no database: add [environments.{environment}.database] to windlass.toml"
        ))
    })
}

/// What PostgreSQL's programs are told by their environment.
///
/// # Errors
/// When the password's secret is not configured.
pub fn connection(database: &Database, context: &Context) -> Result<Vec<(String, String)>> {
    let mut variables = vec![
        ("PGDATABASE".to_owned(), database.name.clone()),
        ("PGCONNECT_TIMEOUT".to_owned(), "10".to_owned()),
        ("PGAPPNAME".to_owned(), "windlass".to_owned()),
    ];
    let port = database.port.map(|port| port.to_string());
    let known = [("PGHOST", &database.address), ("PGPORT", &port), ("PGUSER", &database.user)];
    for (name, value) in known {
        variables.extend(value.clone().map(|value| (name.to_owned(), value)));
    }
    if let Some(name) = &database.password {
        variables.push(("PGPASSWORD".to_owned(), context.secret(name)?.to_owned()));
    }
    Ok(variables)
}

/// The value of a line `KEY VALUE`.
///
/// # Errors
/// When there is none.
pub fn value(text: &str, key: &str) -> Result<String> {
    let found = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    found
        .map(|value| sanitize_line(value.trim()))
        .ok_or_else(|| ActionError::Failed(format!("the database's host did not tell the {key}")))
}

/// A number of seconds since 1970 as a moment.
///
/// # Errors
/// When it is none.
pub fn moment(text: &str) -> Result<Timestamp> {
    let second = text.trim().parse().ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    second.ok_or_else(|| ActionError::Failed(format!("`{}` is no time", sanitize_line(text))))
}
