//! How each kind of file spells a version, and how what it states is read.

use super::super::{Version, VersionError, core, parse_version, pep440, shown};

/// How a place spells the version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Spelling {
    /// `1.2.0-rc.1`.
    #[default]
    SemVer,
    /// Python's: `1.2.0rc1`.
    Pep440,
    /// Ruby's: `1.2.0.rc1`.
    Gem,
    /// `1.2.0`, beside another place that has the suffix.
    Number,
    /// `1.2.0`, where a suffix has no place.
    NumberOnly,
    /// An image's tag: no build suffix.
    ImageTag,
    /// In a badge's address: `1.2.0--rc.1`.
    Badge,
}

impl Spelling {
    /// The spelling that files of this name expect.
    pub fn of_path(path: &str) -> Self {
        let name = path.rsplit('/').next().unwrap_or(path);
        let ends = |suffixes: &[&str]| suffixes.iter().any(|suffix| name.ends_with(suffix));
        match name {
            "pyproject.toml" | "uv.lock" | "setup.cfg" => Self::Pep440,
            _ if ends(&[".py", ".pyi"]) => Self::Pep440,
            _ if ends(&[".rb", ".gemspec"]) => Self::Gem,
            _ => Self::SemVer,
        }
    }

    /// The version that `text` means.
    ///
    /// # Errors
    /// When it means none of three numbers.
    pub fn read(self, text: &str) -> Result<Version, VersionError> {
        match self {
            Self::SemVer | Self::Number | Self::NumberOnly | Self::ImageTag => parse_version(text),
            Self::Badge => parse_version(&text.replace("--", "-")),
            Self::Gem => parse_version(&from_gem(text)),
            Self::Pep440 => {
                let refuse = |problem: String| VersionError { text: shown(text), problem };
                // PEP 440 fills missing numbers with zeros; going back, the file would not be the same.
                let numbers =
                    text.split(|end: char| end != '.' && !end.is_ascii_digit()).next().unwrap_or("");
                let count = numbers.split('.').filter(|number| !number.is_empty()).count();
                if count < 3 && parse_version(text).is_err() && pep440::parse(text).is_ok() {
                    let plural = if count == 1 { "" } else { "s" };
                    return Err(refuse(format!("it has {count} number{plural} where three are needed")));
                }
                pep440::parse(text)
                    .or_else(|error| parse_version(text).map_err(|_| error))
                    .map_err(|error| parse_version(text).err().unwrap_or_else(|| refuse(error.to_string())))
            }
        }
    }

    /// How `version` is written here.
    ///
    /// # Errors
    /// Why it cannot be.
    pub fn write(self, version: &Version) -> Result<String, String> {
        let text = match self {
            Self::SemVer => version.to_string(),
            Self::Number => return Ok(core(version).to_string()),
            Self::NumberOnly if !version.pre.is_empty() || !version.build.is_empty() => {
                return Err("only a number has a place here; state the whole version elsewhere, or set \
                            `suffix_in_holders = false` under [version]"
                    .to_owned());
            }
            Self::NumberOnly => version.to_string(),
            Self::ImageTag | Self::Badge if !version.build.is_empty() => {
                return Err("a `+` has no place here; release it without build suffix".to_owned());
            }
            Self::ImageTag => version.to_string(),
            Self::Badge => version.to_string().replace('-', "--"),
            Self::Gem => to_gem(version),
            Self::Pep440 => pep440::spelling(version).map_err(|error| error.to_string())?,
        };
        match self.read(&text) {
            Ok(read) if is_same(&read, version) => Ok(text),
            // It would be another version for the next release.
            Ok(read) => Err(format!("it is spelled {text} here, which is read as {read}")),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Whether two versions are one, as far as every spelling can tell: Python writes `1.2.0-rc` as `1.2.0rc0`.
pub fn is_same(one: &Version, other: &Version) -> bool {
    one == other
        || (core(one) == core(other) && one.build == other.build && {
            let bare = |version: &Version| match version.pre.strip_suffix(".0") {
                Some(word) => word.to_owned(),
                None => version.pre.to_string(),
            };
            bare(one) == bare(other) && !one.pre.is_empty() && !other.pre.is_empty()
        })
}

/// `1.2.0-rc.1` as `1.2.0.rc1`; a `-` further on is left, and does not come back the same.
fn to_gem(version: &Version) -> String {
    let mut text = core(version).to_string();
    let mut word_before = false;
    for part in version.pre.as_str().split('.').filter(|part| !part.is_empty()) {
        let numeric = part.bytes().all(|byte| byte.is_ascii_digit());
        if !(numeric && word_before) {
            text.push('.');
        }
        text.push_str(part);
        word_before = !numeric;
    }
    if !version.build.is_empty() {
        text.push('+');
        text.push_str(version.build.as_str());
    }
    text
}

/// `1.2.0.rc1`, `1.2.0.rc.1` and `1.2.0.pre.rc.1` as `1.2.0-rc.1`; anything else as it is.
fn from_gem(text: &str) -> String {
    let mut parts = text.splitn(4, '.');
    let (Some(major), Some(minor), Some(patch), Some(suffix)) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return text.to_owned();
    };
    if suffix.contains(['-', '+']) || patch.contains('-') {
        return text.to_owned();
    }
    let suffix = match suffix.strip_prefix("pre.") {
        Some(rest) if rest.starts_with(|first: char| first.is_ascii_alphabetic()) => rest,
        _ => suffix,
    };
    let mut dotted = String::with_capacity(suffix.len() + 4);
    let mut before = None;
    for character in suffix.chars() {
        let digit = character.is_ascii_digit();
        if before
            .is_some_and(|before: char| before != '.' && character != '.' && before.is_ascii_digit() != digit)
        {
            dotted.push('.');
        }
        dotted.push(character);
        before = Some(character);
    }
    format!("{major}.{minor}.{patch}-{dotted}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ecosystem_has_its_own_spelling() {
        for (spelling, version, text) in [
            (Spelling::SemVer, "1.2.0-rc.1+b", "1.2.0-rc.1+b"),
            (Spelling::Pep440, "1.2.0-rc.1", "1.2.0rc1"),
            (Spelling::Pep440, "1.2.0", "1.2.0"),
            (Spelling::Gem, "1.2.0-rc.1", "1.2.0.rc1"),
            (Spelling::Gem, "1.2.0-alpha.beta.2", "1.2.0.alpha.beta2"),
            (Spelling::Gem, "1.2.0", "1.2.0"),
            (Spelling::ImageTag, "1.2.0-rc.1", "1.2.0-rc.1"),
            (Spelling::Badge, "1.2.0-rc.1", "1.2.0--rc.1"),
            (Spelling::NumberOnly, "1.2.0", "1.2.0"),
        ] {
            let version = Version::parse(version).unwrap();
            assert_eq!(spelling.write(&version).as_deref(), Ok(text));
            assert_eq!(spelling.read(text).as_ref(), Ok(&version));
        }
        for (spelling, text, version) in [
            (Spelling::Gem, "1.2.0.rc.1", "1.2.0-rc.1"),
            (Spelling::Gem, "1.2.0.pre.rc.1", "1.2.0-rc.1"),
            (Spelling::Gem, "1.2.0-rc.1", "1.2.0-rc.1"),
            (Spelling::Gem, "1.2.0.pre", "1.2.0-pre"),
            (Spelling::Pep440, "1.2.0-rc.1", "1.2.0-rc.1"),
            (Spelling::SemVer, "v1.2.0", "1.2.0"),
        ] {
            assert_eq!(spelling.read(text).unwrap().to_string(), version, "{text}");
        }
        // Python has no suffix without a number.
        assert_eq!(Spelling::Pep440.write(&Version::parse("1.2.0-rc").unwrap()).as_deref(), Ok("1.2.0rc0"));
        assert_eq!(Spelling::Number.write(&Version::parse("1.2.0-rc.1").unwrap()).as_deref(), Ok("1.2.0"));
        for (spelling, version, why) in [
            (Spelling::Gem, "1.2.0-rc1", "read as 1.2.0-rc.1"),
            (Spelling::Gem, "1.2.0-a-b.1", "1.2.0"),
            (Spelling::Pep440, "1.2.0-next.1", "no spelling in Python"),
            (Spelling::Pep440, "1.2.0-rc1", "read as 1.2.0-rc.1"),
            (Spelling::NumberOnly, "1.2.0-rc.1", "only a number"),
            (Spelling::ImageTag, "1.2.0+b", "build suffix"),
        ] {
            let error = spelling.write(&Version::parse(version).unwrap()).unwrap_err();
            assert!(error.contains(why), "{version}: {error}");
        }
        for (spelling, text, why) in [
            (Spelling::Pep440, "1.2", "it has 2 numbers"),
            (Spelling::Pep440, "1.2rc1", "2 numbers"),
            (Spelling::Pep440, "x", "`x`"),
            (Spelling::SemVer, "1.2", "it has 2 numbers"),
            (Spelling::Gem, "1.2", "it has 2 numbers"),
        ] {
            let error = spelling.read(text).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
