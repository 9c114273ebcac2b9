//! The demo: the whole story of a release told with real commands on a made-up project.
//!
//! It shows the commands a person types and runs exactly those, through this very program. Nothing in it knows how a
//! release is run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anstyle::{AnsiColor, Style};
use serde::Serialize;
use windlass_core::text::sanitize_line;

use crate::error::{CommandError, Result};
use crate::exit::Exit;
use crate::report::{Report, words};
use crate::session::Session;

pub mod colours;
mod ending;
pub mod production;
pub mod sample;
pub mod service;
mod shell;

use ending::Ending;
use production::Production;
use sample::Sample;
use shell::{Shell, shown};

/// Who approves in the sample project.
const APPROVER: &str = "rita@demo.example";

/// The columns of a title.
const WIDTH: usize = 78;

/// What a person chose.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// A shorter watch.
    pub fast: bool,
    /// The service goes on when the demo has ended.
    pub keep: bool,
}

/// What the demo gives as data.
#[derive(Debug, Serialize)]
struct Told<'a> {
    folder: &'a PathBuf,
    service: String,
    /// The service's process, when it was left running.
    process: Option<u32>,
    ending: &'a Ending,
    differences: &'a [String],
}

/// Shows the demo and looks at how it ended.
///
/// # Errors
/// When it cannot be shown, and when it did not end as it should.
pub fn run(session: &mut Session, options: &Options) -> Result<Exit> {
    sample::require_programs()?;
    let folder = folder(session)?;
    let program = std::env::current_exe()
        .map_err(|error| CommandError::failed(format!("this program cannot find itself: {error}")))?;
    let path = session.environment.get("PATH").map(String::as_str).unwrap_or_default();
    let (sample, production) = match colours::haproxy(path, &folder) {
        Some(haproxy) => {
            let sample = Sample::with_colours(&folder)?;
            let production = Production::behind(&haproxy, &program, &sample.service, options.keep)?;
            (sample, production)
        }
        None => {
            let sample = Sample::create(&folder)?;
            let production = Production::start(&program, &sample.service, options.keep)?;
            (sample, production)
        }
    };
    sample.commit_history(&production.url())?;
    let mut shell = Shell::new(program.clone(), sample.project.clone(), session.global.color)?;

    let told = tell(&mut session.report, options, &sample, &production, &mut shell);
    let left = |error: CommandError| {
        let error = error.hint(format!("everything is still in {}", folder.display()));
        match options.keep {
            true => {
                error.hint(format!("production is still up: stop it with `kill {}`", production.process()))
            }
            false => error,
        }
    };
    told.map_err(left)?;

    let ending = Ending::read(&sample, &production, &shell).map_err(left)?;
    let differences = ending.differences(sample.colours);
    if session.report.is_json() {
        session.report.object(
            "demo",
            &Told {
                folder: &folder,
                service: production.url(),
                process: options.keep.then(|| production.process()),
                ending: &ending,
                differences: &differences,
            },
        );
    }
    if !differences.is_empty() {
        let mut error = CommandError::failed("the demo did not end as it should");
        error.hints.extend(differences);
        return Err(left(error));
    }
    let absent = (!is_on_path(&session.environment)).then_some(program.as_path());
    close(&mut session.report, options, &sample, &production, absent);
    Ok(Exit::Done)
}

/// The folder of the demo: the one that is asked for, else a new one where temporary files go.
fn folder(session: &Session) -> Result<PathBuf> {
    let made = match &session.global.directory {
        None => tempfile::Builder::new().prefix("windlass-demo-").tempdir().map(tempfile::TempDir::keep),
        Some(_) => {
            let folder = &session.directory;
            let full = std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
            if full {
                let message = format!("the folder {} is not empty", folder.display());
                return Err(CommandError::invalid(message).hint("name one that is empty or not there yet"));
            }
            std::fs::create_dir_all(folder).map(|()| folder.clone())
        }
    };
    let failed = |error| CommandError::failed(format!("no folder for the demo can be made: {error}"));
    // The real path: it goes into nothing but messages and hints, and there it should be the one that `pwd` says.
    made.and_then(std::fs::canonicalize).map_err(failed)
}

/// The story, from the first commit to the rollback.
fn tell(
    report: &mut Report,
    options: &Options,
    sample: &Sample,
    production: &Production,
    shell: &mut Shell,
) -> Result<()> {
    let mut voice = Voice { report };
    voice.title("A corner shop");
    voice.say("A made-up project in a folder of its own. Nothing outside it is touched.");
    voice.list(&[
        ("shop/".into(), "its repository; runbooks/release.md is how it is released"),
        ("remote.git/".into(), "the remote it is pushed to"),
        ("service/".into(), &format!("production: 0.1.0 is live, at {}", production.url())),
    ]);
    voice.say(match sample.colours {
        true => {
            "HAProxy is installed, so versions come up beside each other, blue and green,\nand the traffic is \
             switched between them."
        }
        false => {
            "HAProxy is not installed, so a version comes in the place of the one before.\nWith it they would come up \
             beside each other."
        }
    });
    voice.command("cd", &[&sample.project.to_string_lossy()]);

    sample.commit(&sample::GOOD)?;
    voice.title("0.2.0, a good release");
    voice.say("Two commits since 0.1.0. They decide the next version.");
    shell.git(voice.report, &["log", "--oneline", "v0.1.0.."])?;
    shell.expect(voice.report, &["next", "--explain"], Exit::Done)?;
    voice.say("The runbook is Markdown, and it is checked like code.");
    shell.expect(voice.report, &["check"], Exit::Done)?;
    voice.say("The plan is what will happen, to the letter: steps, gates, effects.");
    shell.expect(voice.report, &["plan"], Exit::Done)?;
    voice.say("A run goes on by itself until it needs a person. Then nobody has to stay.");
    start(&mut voice, options, shell)?;
    voice.say("In a team, Rita reads the plan now. Here the demo approves in her name.");
    finish(&mut voice, shell, Exit::Done)?;
    voice.production(production);
    if sample.colours {
        voice.say("The version before still runs, and could have the traffic back at once.");
        shell.expect(voice.report, &["env"], Exit::Done)?;
    }

    sample.commit(&sample::BAD)?;
    voice.title("0.3.0, a bad release");
    voice.say("Ben made paying faster. No test noticed that nobody can pay any more.");
    shell.git(voice.report, &["log", "--oneline", "v0.2.0.."])?;
    shell.expect(voice.report, &["next"], Exit::Done)?;
    start(&mut voice, options, shell)?;
    voice.say("The demo approves again. Watch what the watch does.");
    finish(&mut voice, shell, Exit::RolledBack)?;
    voice.say(
        "The watch asked what customers ask, and heard \"no\" once too often.\n\
         So the runbook brought 0.2.0 back. Exit code 6 tells scripts.",
    );
    voice.production(production);

    // Something to go on with.
    sample.commit(&sample::FIX)
}

/// Runs a release to its gate.
fn start(voice: &mut Voice<'_>, options: &Options, shell: &mut Shell) -> Result<()> {
    let mut run = vec!["run", "--no-wait"];
    if options.fast {
        run.extend(["--input", "watch=3s"]);
    }
    shell.expect(voice.report, &run, Exit::Waiting)
}

/// Approves the release that waits, and lets it finish.
fn finish(voice: &mut Voice<'_>, shell: &mut Shell, expect: Exit) -> Result<()> {
    let approve = ["approve", "--as", APPROVER, "--comment", "approved by the demo"];
    shell.expect(voice.report, &approve, Exit::Done)?;
    shell.expect(voice.report, &["resume"], expect)
}

/// Whether a shell finds a program called `windlass`.
fn is_on_path(environment: &BTreeMap<String, String>) -> bool {
    let path = environment.get("PATH").map(String::as_str).unwrap_or_default();
    std::env::split_paths(path).any(|folder| folder.join("windlass").is_file())
}

/// What there is to do next. `absent` is this program where a shell does not find it.
fn close(
    report: &mut Report,
    options: &Options,
    sample: &Sample,
    production: &Production,
    absent: Option<&Path>,
) {
    let mut voice = Voice { report };
    voice.title("Your turn");
    voice.say(
        "0.2.0 went live, both tags are on the remote, and the journal knows each step.\n\
         A fix for 0.3.0 is committed.",
    );
    match options.keep {
        true => voice.say(&format!("Production is still up, at {}", production.url())),
        false => voice.say("Production ended with the demo; `windlass demo --keep` keeps it running."),
    }
    voice.say(&format!("{APPROVER} may approve: `windlass approve --as {APPROVER}`"));
    let mut commands = Vec::new();
    if let Some(program) = absent {
        // Quoted twice: the shell reads it once as the alias is made and once as it is used.
        let program = words::argument(&words::argument(&program.to_string_lossy()));
        commands.push((format!("alias windlass={program}"), ""));
    }
    commands.extend([
        (shown("cd", &[&sample.project.to_string_lossy()]), ""),
        (shown("cat", &["runbooks/release.md"]), "the release, as its team wrote it"),
        (shown("windlass", &["runs"]), "both releases"),
        (shown("windlass", &["status"]), "the last one, step by step"),
        (shown("windlass", &["logs"]), "what its commands said"),
        (shown("windlass", &["audit", "verify"]), "nobody changed its history"),
        (shown("windlass", &["plan"]), "the fix, as 0.3.1"),
    ]);
    if options.keep {
        commands.push((shown("windlass", &["run"]), "release it: production is still up"));
        commands.push((shown("kill", &[&production.process().to_string()]), "stop production"));
    }
    commands.push((shown("rm", &["-rf", &sample.folder.to_string_lossy()]), "forget it all"));
    voice.list(&commands);
}

/// Tells the story between commands, as comments of a shell.
struct Voice<'a> {
    report: &'a mut Report,
}

impl Voice<'_> {
    fn title(&mut self, text: &str) {
        let rule = "─".repeat(WIDTH.saturating_sub(text.chars().count() + 4));
        let paint = self.report.out_paint;
        self.tell(&format!("{} {} {}\n", paint.dim("──"), paint.bold(text), paint.dim(&rule)));
    }

    fn say(&mut self, text: &str) {
        for line in text.lines() {
            let line = self.comment(&format!("# {line}"));
            self.tell(&line);
        }
    }

    fn production(&mut self, production: &Production) {
        let health = production.get("/health").map_or_else(|error| error.to_string(), |(_, body)| body);
        self.say(&format!("Production: {}", sanitize_line(&health)));
        self.tell("");
    }

    /// A command that only a person can run.
    fn command(&mut self, name: &str, args: &[&str]) {
        let paint = self.report.out_paint;
        self.tell(&format!("{} {}\n", paint.dim("$"), paint.bold(&shown(name, args))));
    }

    /// Names and what they are. A long name has its line alone.
    fn list(&mut self, entries: &[(String, &str)]) {
        let width =
            entries.iter().map(|(name, _)| name.len()).filter(|&width| width <= 24).max().unwrap_or(0);
        for (name, what) in entries {
            let padded = format!("{name:width$}");
            let what = self.comment(what);
            self.tell(format!("  {}  {what}", self.report.out_paint.bold(&padded)).trim_end());
        }
        self.tell("");
    }

    fn comment(&self, text: &str) -> String {
        self.report.out_paint.styled(Style::new().fg_color(Some(AnsiColor::Cyan.into())), text)
    }

    /// Only what is asked for as data goes to standard output then.
    fn tell(&mut self, line: &str) {
        if !self.report.is_json() {
            self.report.line(line);
        }
    }
}
