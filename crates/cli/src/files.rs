//! Files of the repository: read with a bound.

use std::fs::File;
use std::io::BufWriter;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use windlass_core::text::sanitize_line;

use crate::error::{CommandError, Result};

/// The largest runbook or configuration that is read, in bytes.
pub const LARGEST_TEXT: u64 = 1 << 20;

/// The largest version holder, changelog or Makefile that is read, in bytes.
pub const LARGEST_FILE: u64 = 32 << 20;

/// The text of the file at `path`, or nothing when there is none. `shown` is its name for people.
///
/// # Errors
/// When it is no plain file, larger than `most` bytes, not UTF-8, or cannot be read.
pub fn read_if_there(path: &Path, shown: &str, most: u64) -> Result<Option<String>> {
    let shown = sanitize_line(shown);
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(CommandError::invalid(format!("{shown} cannot be read: {error}"))),
    };
    // Asked before opening: a fifo would wait for ever, and a device has no end.
    if !metadata.is_file() {
        return Err(CommandError::invalid(format!("{shown} is not a file")));
    }
    let too_large = |size: u64| {
        CommandError::invalid(format!("{shown} has {size} bytes; {most} are the most that is read"))
            .hint("keep data out of it, or name another file")
    };
    if metadata.len() > most {
        return Err(too_large(metadata.len()));
    }
    let refused = |error| CommandError::invalid(format!("{shown} cannot be read: {error}"));
    let file = File::open(path).map_err(refused)?;
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default());
    file.take(most + 1).read_to_end(&mut bytes).map_err(refused)?;
    if bytes.len() as u64 > most {
        return Err(too_large(bytes.len() as u64));
    }
    String::from_utf8(bytes)
        .map(Some)
        .map_err(|_| CommandError::invalid(format!("{shown} is not UTF-8 text")).hint("save it as UTF-8"))
}

/// As [`read_if_there`], when it must be there.
///
/// # Errors
/// Also when it is not there.
pub fn read(path: &Path, shown: &str, most: u64) -> Result<String> {
    read_if_there(path, shown, most)?
        .ok_or_else(|| CommandError::invalid(format!("there is no file {}", sanitize_line(shown))))
}

/// Writes what a command was told to write to a file, and makes the folder it stands in. What was there before stays
/// until all of the new text is written.
///
/// # Errors
/// When it cannot be written.
pub fn write_output(place: &Path, shown: &Path, text: &str) -> Result<()> {
    let mut output = Output::create(place).map_err(|error| not_written(shown, &error))?;
    let written = std::io::Write::write_all(&mut output, text.as_bytes());
    written.and_then(|()| output.finish()).map_err(|error| not_written(shown, &error))
}

/// A file that takes the place of another one when it is finished, and leaves no trace when it is not.
pub struct Output {
    file: BufWriter<File>,
    renamed: Option<(tempfile::TempPath, PathBuf)>,
}

impl Output {
    /// Begins the file, and makes the folder it stands in.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(place: &Path) -> std::io::Result<Self> {
        let folder = place.parent().unwrap_or(Path::new(""));
        std::fs::create_dir_all(folder)?;
        // A pipe, a terminal or a link is written to as it is.
        if std::fs::symlink_metadata(place).is_ok_and(|known| !known.is_file()) {
            let file = File::options().write(true).truncate(true).open(place)?;
            return Ok(Self { file: BufWriter::new(file), renamed: None });
        }
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        let temporary =
            tempfile::Builder::new().prefix(".windlass-").permissions(mode).tempfile_in(folder)?;
        let (file, path) = temporary.into_parts();
        Ok(Self { file: BufWriter::new(file), renamed: Some((path, place.to_owned())) })
    }

    /// Puts the file in its place.
    ///
    /// # Errors
    /// When what is left cannot be written.
    pub fn finish(mut self) -> std::io::Result<()> {
        std::io::Write::flush(&mut self.file)?;
        match self.renamed {
            Some((temporary, place)) => {
                self.file.get_ref().sync_all()?;
                temporary.persist(place).map_err(|error| error.error)
            }
            None => Ok(()),
        }
    }
}

impl std::io::Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

/// Why an output cannot be written.
pub fn not_written(shown: &Path, error: &std::io::Error) -> CommandError {
    let shown = sanitize_line(&shown.to_string_lossy());
    CommandError::failed(format!("{shown} cannot be written: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b.txt");
        assert_eq!(read_if_there(&path, "b", 10).unwrap(), None);
        std::fs::write(&path, "12345").unwrap();
        assert_eq!(read(&path, "b", 5).unwrap(), "12345");
        assert!(read(&path, "b", 4).unwrap_err().message.contains("has 5 bytes; 4 are the most"));
        assert!(read(folder.path(), "folder", 4).unwrap_err().message.contains("is not a file"));
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(read(&path, "b\u{1b}", 4).unwrap_err().message.contains("b is not UTF-8"));
    }
}
