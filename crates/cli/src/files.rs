//! Files of the repository: read with a bound.

use std::io::Read as _;
use std::path::Path;

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
    let file = std::fs::File::open(path).map_err(refused)?;
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

/// Writes what a command was told to write to a file, and makes the folder it stands in.
///
/// # Errors
/// When it cannot be written.
pub fn write_output(place: &Path, shown: &Path, text: &str) -> Result<()> {
    create_output(place, shown)?;
    std::fs::write(place, text).map_err(|error| not_written(shown, &error))
}

/// Makes the folder that a command's output stands in.
///
/// # Errors
/// When it cannot be made.
pub fn create_output(place: &Path, shown: &Path) -> Result<()> {
    let folder = place.parent().map_or(Ok(()), std::fs::create_dir_all);
    folder.map_err(|error| not_written(shown, &error))
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
