//! Targets of the Makefile, read and not run: `make -n` would execute what the file says.

use std::collections::BTreeSet;
use std::path::Path;

use crate::error::Result;
use crate::files;

/// What can be made.
pub struct Targets {
    /// `None` without a Makefile.
    named: Option<BTreeSet<String>>,
    /// Some targets can only be known by running make: patterns, includes, computed names.
    open: bool,
    root: std::path::PathBuf,
}

impl Targets {
    /// Reads the Makefile of `root`, when there is one.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(root: &Path) -> Result<Self> {
        for name in ["GNUmakefile", "makefile", "Makefile"] {
            if let Some(text) = files::read_if_there(&root.join(name), name, files::LARGEST_FILE)? {
                let (named, open) = targets(&text);
                return Ok(Self { named: Some(named), open, root: root.to_owned() });
            }
        }
        Ok(Self { named: None, open: false, root: root.to_owned() })
    }

    /// Why `target` cannot be made; nothing when it can, or when nobody knows.
    pub fn missing(&self, target: &str) -> Option<String> {
        match &self.named {
            None => Some(format!("there is no Makefile for `make {target}`")),
            Some(_) if target.is_empty() || self.open => None,
            Some(named) if named.contains(target) || self.root.join(target).exists() => None,
            Some(named) => {
                let near = windlass_core::diagnostic::nearest(target, named.iter().map(String::as_str));
                let near = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
                Some(format!("the Makefile has no target `{target}`{near}"))
            }
        }
    }
}

fn targets(text: &str) -> (BTreeSet<String>, bool) {
    let mut named = BTreeSet::new();
    let mut open = false;
    for line in text.lines() {
        let trimmed = line.trim();
        if line.starts_with('\t') || trimmed.starts_with('#') || trimmed.is_empty() {
            continue;
        }
        if ["include ", "-include ", "sinclude "].iter().any(|word| trimmed.starts_with(word)) {
            open = true;
        }
        let Some((names, rest)) = trimmed.split_once(':') else { continue };
        // `NAME := value` and `NAME ::= value` set a variable.
        if rest.starts_with('=') || rest.starts_with(":=") || names.contains('=') {
            continue;
        }
        for name in names.split_whitespace() {
            if name.contains(['%', '$']) {
                open = true;
            } else {
                named.insert(name.to_owned());
            }
        }
    }
    (named, open)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read() {
        let check = |text: &str, expect: &[&str], open: bool| {
            let (named, is_open) = targets(text);
            assert_eq!(named.iter().map(String::as_str).collect::<Vec<_>>(), expect, "{text}");
            assert_eq!(is_open, open, "{text}");
        };
        check("all: build\n\t@echo x: y\nbuild test:\n", &["all", "build", "test"], false);
        check("X := 1\nY = a:b\n# no: no\n.PHONY: all\nall::\n", &[".PHONY", "all"], false);
        check("%.o: %.c\n", &[], true);
        check("include common.mk\nall:\n", &["all"], true);
    }
}
