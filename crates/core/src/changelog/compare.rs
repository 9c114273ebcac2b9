//! Addresses that compare two tags, as every forge shapes them.

/// An address taken apart: `base` ends in `/compare/`.
pub(super) struct Compare<'a> {
    pub(super) base: &'a str,
    pub(super) old: &'a str,
    pub(super) dots: &'static str,
    pub(super) new: &'a str,
}

/// Takes `https://.../compare/OLD...NEW` apart.
pub(super) fn compare(url: &str) -> Option<Compare<'_>> {
    let at = url.find("/compare/")? + "/compare/".len();
    let dots = if url[at..].contains("...") { "..." } else { ".." };
    let (old, new) = url[at..].split_once(dots)?;
    (!old.is_empty() && !new.is_empty()).then_some(Compare { base: &url[..at], old, dots, new })
}
