//! The logs of items: one file each, masked, readable while the run goes on.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use windlass_core::plan::{StepPath, sha256_hex};
use windlass_core::run::RunId;

use crate::context::{LogSink, Stream};

/// The most that is read of a log at once, in bytes.
const READ_AT_ONCE: u64 = 32 << 20;
/// How far from its end a log is read for its last lines, in bytes.
const TAIL: u64 = 1 << 20;
/// How many files are held open: a plan may have thousands of items.
const OPEN: usize = 32;

/// A line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When it was written.
    pub at: Timestamp,
    /// Which stream it came from.
    pub stream: Stream,
    /// What it says: masked, but as the program wrote it. To be sanitised before a terminal shows it.
    pub text: String,
}

/// The logs of one run: a file per item under `STATE/runs/RUN/logs`.
#[derive(Debug)]
pub struct LogFolder {
    folder: PathBuf,
    open: Mutex<BTreeMap<StepPath, File>>,
    lost: AtomicU64,
}

impl LogFolder {
    /// The logs of `run`, in Windlass's own folder `state`. Created when the first line comes.
    pub fn new(state: &Path, run: &RunId) -> Self {
        let folder = state.join("runs").join(folder_name(&run.0)).join("logs");
        Self { folder, open: Mutex::default(), lost: AtomicU64::default() }
    }

    /// Where the files are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file of `path`, whether it exists or not.
    pub fn file(&self, path: &StepPath) -> PathBuf {
        self.folder.join(format!("{}.log", file_name(&path.0)))
    }

    /// How many lines could not be written. A full disk must not fail what is logged.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// The log of `path`; nothing when it has none. A very long one is given in its first part only.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(&self, path: &StepPath) -> io::Result<Vec<LogLine>> {
        self.follow(path, 0).map(|(lines, _)| lines)
    }

    /// What was logged for `path` behind `offset` bytes of its file, and the offset to go on from.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn follow(&self, path: &StepPath, offset: u64) -> io::Result<(Vec<LogLine>, u64)> {
        let Some(mut file) = existing(File::open(self.file(path)))? else { return Ok((Vec::new(), offset)) };
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        file.take(READ_AT_ONCE).read_to_end(&mut bytes)?;
        // A line without its newline is being written.
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        Ok((parse(bytes.get(..end).unwrap_or_default()), offset + end as u64))
    }

    /// The last `count` lines of `path`'s log, oldest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn tail(&self, path: &StepPath, count: usize) -> io::Result<Vec<LogLine>> {
        let size = existing(std::fs::metadata(self.file(path)))?.map_or(0, |data| data.len());
        // Most likely from within a line; a line that is cut does not parse.
        let (mut lines, _) = self.follow(path, size.saturating_sub(TAIL))?;
        Ok(lines.split_off(lines.len().saturating_sub(count)))
    }

    /// The items that have a log, by path.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn list(&self) -> io::Result<Vec<StepPath>> {
        let mut paths = Vec::new();
        for entry in existing(std::fs::read_dir(&self.folder))?.into_iter().flatten() {
            let mut header = String::new();
            let file = File::open(entry?.path())?;
            BufReader::new(file.take(64 << 10)).read_line(&mut header)?;
            if let Some(path) = header.strip_prefix("# ") {
                paths.push(StepPath::new(path.trim_end_matches('\n')));
            }
        }
        paths.sort();
        Ok(paths)
    }

    fn append(&self, path: &StepPath, stream: Stream, text: &str) -> io::Result<()> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if !open.contains_key(path) {
            if open.len() >= OPEN {
                open.clear();
            }
            open.insert(path.clone(), self.open_file(path)?);
        }
        let Some(file) = open.get_mut(path) else { return Ok(()) };
        let letter = match stream {
            Stream::Out => 'O',
            Stream::Err => 'E',
            Stream::Note => 'N',
        };
        // To the second's thousandth, always with as many digits.
        let at = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
        // One write per line: readers and crashes see whole lines.
        let lines: String = text.split('\n').map(|line| format!("{at} {letter} {line}\n")).collect();
        file.write_all(lines.as_bytes())
    }

    fn open_file(&self, path: &StepPath) -> io::Result<File> {
        std::fs::create_dir_all(&self.folder)?;
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(self.file(path))?;
        if file.seek(SeekFrom::End(0))? == 0 {
            file.write_all(format!("# {}\n", windlass_core::text::sanitize_line(&path.0)).as_bytes())?;
        } else {
            file.seek(SeekFrom::End(-1))?;
            let mut last = [0];
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                file.write_all(b"\n")?;
            }
        }
        Ok(file)
    }
}

impl LogSink for LogFolder {
    fn line(&self, path: &StepPath, stream: Stream, line: &str) {
        if self.append(path, stream, line).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Several sinks as one.
#[derive(Clone, Default)]
pub struct Tee(pub Vec<Arc<dyn LogSink>>);

impl LogSink for Tee {
    fn line(&self, path: &StepPath, stream: Stream, line: &str) {
        for sink in &self.0 {
            sink.line(path, stream, line);
        }
    }
}

/// A run's name as it is, where it is one that Windlass gives.
fn folder_name(name: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || ".-_".contains(letter);
    match name.starts_with(|letter: char| letter.is_ascii_alphanumeric())
        && name.chars().all(plain)
        && name.len() <= 200
    {
        true => name.to_owned(),
        false => file_name(name),
    }
}

/// `name` as a file's name, different for every name: `/` becomes `.`, what is no letter, digit, `-` or `_` is
/// percent-encoded, and the end of a long name is replaced by a hash.
fn file_name(name: &str) -> String {
    let encoded: String = name
        .bytes()
        .map(|byte| match byte {
            b'/' => ".".to_owned(),
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect();
    match (encoded.get(..160), sha256_hex(name.as_bytes()).get(..32)) {
        (Some(start), Some(hash)) if encoded.len() > 200 => format!("{start}~{hash}"),
        _ => encoded,
    }
}

fn parse(bytes: &[u8]) -> Vec<LogLine> {
    String::from_utf8_lossy(bytes)
        .split('\n')
        .filter_map(|line| {
            let (at, rest) = line.split_once(' ')?;
            let (stream, text) = rest.split_once(' ')?;
            let stream = match stream {
                "O" => Stream::Out,
                "E" => Stream::Err,
                "N" => Stream::Note,
                _ => return None,
            };
            Some(LogLine { at: at.parse().ok()?, stream, text: text.to_owned() })
        })
        .collect()
}

fn existing<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(lines: &[LogLine]) -> Vec<&str> {
        lines.iter().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn lines_come_back_while_they_are_written() {
        let state = tempfile::tempdir().unwrap();
        let run = RunId("release-1.2.0-abc".into());
        let logs = LogFolder::new(state.path(), &run);
        let path = StepPath::new("build").child("éclair");
        assert!(logs.list().unwrap().is_empty() && logs.read(&path).unwrap().is_empty());
        logs.line(&path, Stream::Out, "one");
        logs.line(&path, Stream::Err, "two\nthree");
        let reader = LogFolder::new(state.path(), &run);
        let (lines, offset) = reader.follow(&path, 0).unwrap();
        assert_eq!(texts(&lines), ["one", "two", "three"]);
        assert_eq!((lines[0].stream, lines[2].stream), (Stream::Out, Stream::Err));
        logs.line(&path, Stream::Note, "");
        assert_eq!(texts(&reader.follow(&path, offset).unwrap().0), [""]);
        assert_eq!(texts(&reader.tail(&path, 2).unwrap()), ["three", ""]);
        assert_eq!(reader.list().unwrap(), [path]);
        assert_eq!(logs.lost(), 0);
        assert_eq!(logs.folder(), state.path().join("runs/release-1.2.0-abc/logs"));
        assert_eq!(logs.file(&StepPath::new("build/script-1")), logs.folder().join("build.script-1.log"));
    }

    #[test]
    fn a_line_cut_by_a_crash_spoils_no_other() {
        let state = tempfile::tempdir().unwrap();
        let path = StepPath::new("a");
        let run = RunId("r".into());
        LogFolder::new(state.path(), &run).line(&path, Stream::Out, "one");
        let logs = LogFolder::new(state.path(), &run);
        let file = OpenOptions::new().append(true).open(logs.file(&path)).unwrap();
        (&file).write_all(b"2026-01-01T00:00").unwrap();
        assert_eq!(texts(&logs.read(&path).unwrap()), ["one"]);
        logs.line(&path, Stream::Out, "two");
        assert_eq!(texts(&logs.read(&path).unwrap()), ["one", "two"]);
    }

    #[test]
    fn many_items_and_hostile_names_have_their_own_files() {
        let state = tempfile::tempdir().unwrap();
        let logs = LogFolder::new(state.path(), &RunId("../../r".into()));
        assert!(logs.folder().starts_with(state.path()));
        assert!(!logs.folder().to_string_lossy().contains("/.."));
        let long = "x".repeat(999);
        let mut names: Vec<String> = (0..100).map(|at| format!("step/{at}")).collect();
        names.extend(["a/b", "a.b", "../../etc/passwd", "a b;$(id)"].map(str::to_owned));
        names.extend([format!("{long}1"), format!("{long}2")]);
        for name in &names {
            logs.line(&StepPath::new(name), Stream::Out, name);
        }
        for name in &names {
            assert_eq!(texts(&logs.read(&StepPath::new(name)).unwrap()), [name]);
        }
        assert_eq!(logs.list().unwrap().len(), names.len());
        assert_eq!(std::fs::read_dir(state.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_cannot_be_written_is_counted() {
        let state = tempfile::tempdir().unwrap();
        std::fs::write(state.path().join("runs"), "a file, not a folder").unwrap();
        let logs = LogFolder::new(state.path(), &RunId("r".into()));
        Tee(vec![Arc::new(crate::context::NoLog)]).line(&StepPath::new("a"), Stream::Out, "x");
        logs.line(&StepPath::new("a"), Stream::Out, "x");
        assert_eq!(logs.lost(), 1);
    }
}
