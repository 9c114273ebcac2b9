//! Files of the workspace: read bounded, replaced all or none, and never outside of it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Component, Path, PathBuf};

use windlass_core::text::sanitize_line;
use windlass_engine::action::{ActionError, Result};

/// The largest file that is read, in bytes.
pub const LARGEST: u64 = 32 << 20;

/// Whether `path` can be a path inside the workspace, by its text alone.
///
/// # Errors
/// [`ActionError::Final`] when it is empty, absolute, leads up or holds control characters.
pub fn check(path: &str) -> Result<()> {
    let plain =
        Path::new(path).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if path.is_empty() || !plain || path.contains(char::is_control) {
        return Err(ActionError::Final(format!(
            "`{}` is no path inside the repository: write it from the repository's root, without `..`",
            sanitize_line(path)
        )));
    }
    Ok(())
}

/// The place of `path` inside `workspace`.
///
/// # Errors
/// As [`check`], and when a symbolic link is on the way or it is inside git's own folder: what is behind a link is
/// not what the plan names.
pub fn inside(workspace: &Path, path: &str) -> Result<PathBuf> {
    check(path)?;
    let mut place = workspace.to_owned();
    for part in Path::new(path).components() {
        if let Component::Normal(part) = part {
            if part.eq_ignore_ascii_case(".git") {
                return Err(ActionError::Final(format!(
                    "`{}` is inside git's own folder",
                    sanitize_line(path)
                )));
            }
            place.push(part);
            if fs::symlink_metadata(&place).is_ok_and(|data| data.file_type().is_symlink()) {
                return Err(ActionError::Final(format!(
                    "`{}` goes through the symbolic link {}: name the file itself",
                    sanitize_line(path),
                    sanitize_line(&place.to_string_lossy())
                )));
            }
        }
    }
    Ok(place)
}

/// The text of `path` inside `workspace`; nothing when there is no such file.
///
/// # Errors
/// As [`inside`], and when it cannot be read, is too large or no UTF-8 text.
pub fn read(workspace: &Path, path: &str) -> Result<Option<String>> {
    let place = inside(workspace, path)?;
    let file = match File::open(&place) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("read", path, &error)),
    };
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|error| failed("read", path, &error))?;
    if bytes.len() as u64 > LARGEST {
        return Err(ActionError::Final(format!("{path} is larger than 32 MiB")));
    }
    String::from_utf8(bytes).map(Some).map_err(|_| ActionError::Final(format!("{path} is no UTF-8 text")))
}

/// As [`read`], when there must be one.
///
/// # Errors
/// Also [`ActionError::Final`] when there is none.
pub fn require(workspace: &Path, path: &str) -> Result<String> {
    read(workspace, path)?
        .ok_or_else(|| ActionError::Final(format!("there is no file {}", sanitize_line(path))))
}

/// Gives each file its new text: all of them, or none when one cannot be written. Each is on disk before it takes
/// the old one's place, so that no reader and no crash ever sees half a file.
///
/// # Errors
/// When a file cannot be written; then all are as they were.
pub fn replace(workspace: &Path, edits: &[(String, String)]) -> Result<()> {
    let mut staged = Vec::new();
    for (path, text) in edits {
        match Staged::write(workspace, path, text) {
            Ok(one) => staged.push(one),
            Err(error) => {
                staged.iter().for_each(Staged::discard);
                return Err(error);
            }
        }
    }
    for (at, one) in staged.iter().enumerate() {
        if let Err(error) = fs::rename(&one.temporary, &one.place) {
            let (done, rest) = staged.split_at(at);
            rest.iter().for_each(Staged::discard);
            let lost: Vec<&str> =
                done.iter().filter(|one| one.restore().is_err()).map(|one| one.path.as_str()).collect();
            let ActionError::Final(mut why) = failed("write", &one.path, &error) else {
                return Err(failed("write", &one.path, &error));
            };
            if !lost.is_empty() {
                why = format!("{why}; and could not be set back: {}", lost.join(", "));
            }
            return Err(ActionError::Final(why));
        }
    }
    for folder in staged.iter().filter_map(|one| one.place.parent()) {
        // The renames themselves; a file system that cannot sync a folder has nothing better to offer.
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
    Ok(())
}

/// What a killed [`replace`] left to take the place of `path`: each file is whole on disk before the first takes its
/// place, so when some are in place, these are the rest.
///
/// # Errors
/// As [`read`].
pub fn left(workspace: &Path, path: &str) -> Result<Option<String>> {
    read(workspace, &beside(path))
}

/// The path of what is to take the place of `path`. Always the same: what a killed run left is taken by the next one.
fn beside(path: &str) -> String {
    match path.rsplit_once('/') {
        Some((folder, name)) => format!("{folder}/.{name}.windlass-tmp"),
        None => format!(".{path}.windlass-tmp"),
    }
}

struct Staged {
    path: String,
    place: PathBuf,
    temporary: PathBuf,
    before: Option<Vec<u8>>,
}

impl Staged {
    fn write(workspace: &Path, path: &str, text: &str) -> Result<Self> {
        let place = inside(workspace, path)?;
        let temporary = inside(workspace, &beside(path))?;
        let write = || -> io::Result<Option<Vec<u8>>> {
            let before = match fs::read(&place) {
                Ok(bytes) => Some(bytes),
                Err(error) if error.kind() == ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            };
            if let Ok(data) = fs::metadata(&place)
                && data.permissions().readonly()
            {
                return Err(ErrorKind::PermissionDenied.into());
            }
            if let Some(folder) = place.parent() {
                fs::create_dir_all(folder)?;
            }
            match fs::remove_file(&temporary) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = OpenOptions::new().write(true).create_new(true).open(&temporary)?;
            if let Ok(data) = fs::metadata(&place) {
                file.set_permissions(data.permissions())?;
            }
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            Ok(before)
        };
        match write() {
            Ok(before) => Ok(Self { path: path.to_owned(), place, temporary, before }),
            Err(error) => {
                let _ = fs::remove_file(&temporary);
                Err(failed("write", path, &error))
            }
        }
    }

    fn discard(&self) {
        let _ = fs::remove_file(&self.temporary);
    }

    fn restore(&self) -> io::Result<()> {
        match &self.before {
            Some(bytes) => fs::write(&self.place, bytes),
            None => fs::remove_file(&self.place),
        }
    }
}

fn failed(verb: &str, path: &str, error: &io::Error) -> ActionError {
    ActionError::Final(
        format!("{} cannot be {verb}: {error}", sanitize_line(path)).replace("be write:", "be written:"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc", folder.path().join("link")).unwrap();
        for (path, expect) in [
            ("Cargo.toml", true),
            ("a/b.toml", true),
            ("./a", true),
            ("", false),
            ("/etc/passwd", false),
            ("../x", false),
            ("a/../../x", false),
            ("link/passwd", false),
            ("link", false),
            (".git/config", false),
            ("a\u{1b}b", false),
        ] {
            assert_eq!(inside(folder.path(), path).is_ok(), expect, "{path}");
        }
    }

    #[test]
    fn all_files_are_replaced_or_none() {
        let folder = tempfile::tempdir().unwrap();
        let edit = |path: &str, text: &str| (path.to_owned(), text.to_owned());
        fs::write(folder.path().join("a"), "1").unwrap();
        fs::write(folder.path().join("b"), "1").unwrap();
        replace(folder.path(), &[edit("a", "2"), edit("new/c", "2")]).unwrap();
        assert_eq!(read(folder.path(), "a").unwrap().as_deref(), Some("2"));
        assert_eq!(read(folder.path(), "new/c").unwrap().as_deref(), Some("2"));

        // A folder stands where the file belongs: the rename or the read of the second fails.
        fs::create_dir(folder.path().join("d")).unwrap();
        let error = replace(folder.path(), &[edit("a", "3"), edit("e", "3"), edit("d", "3")]).unwrap_err();
        assert!(error.to_string().starts_with("d cannot be written: "), "{error}");
        assert_eq!(read(folder.path(), "a").unwrap().as_deref(), Some("2"));
        assert_eq!(read(folder.path(), "e").unwrap(), None);
        let left = fs::read_dir(folder.path()).unwrap();
        let left: Vec<_> = left.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        assert!(!left.iter().any(|name| name.contains("windlass-tmp")), "{left:?}");

        let mut permissions = fs::metadata(folder.path().join("b")).unwrap().permissions();
        permissions.set_readonly(true);
        fs::set_permissions(folder.path().join("b"), permissions).unwrap();
        assert!(replace(folder.path(), &[edit("a", "3"), edit("b", "3")]).is_err());
        assert_eq!(read(folder.path(), "a").unwrap().as_deref(), Some("2"));
    }

    #[test]
    fn odd_files_are_refused_in_words() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("latin"), b"\xe9").unwrap();
        assert!(read(folder.path(), "latin").unwrap_err().to_string().contains("no UTF-8"));
        assert!(require(folder.path(), "none").unwrap_err().to_string().contains("there is no file none"));
    }
}
