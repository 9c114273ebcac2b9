//! Who acts: said on the command line, by the environment, or by git.

use windlass_core::text::sanitize_line;

use crate::error::{CommandError, Result};
use crate::facts::failed;
use crate::project::Project;

/// The person who acts.
///
/// # Errors
/// When nobody is named anywhere.
pub fn person(project: &Project, named: Option<&str>) -> Result<String> {
    let variable = project.environment.get("WINDLASS_PERSON").map(String::as_str);
    let said = match named.or(variable.filter(|name| !name.trim().is_empty())) {
        Some(name) => Some(name.to_owned()),
        None => {
            let git = project.git();
            let configured =
                project.block_on(async move { git.config("user.email").await })?.map_err(failed)?;
            configured.or_else(|| project.environment.get("GIT_AUTHOR_EMAIL").cloned())
        }
    };
    let name = sanitize_line(said.as_deref().unwrap_or_default());
    if name.is_empty() {
        return Err(CommandError::invalid("nobody is named as the one who acts").hint(
            "say who with --as, with WINDLASS_PERSON, or with `git config user.email you@example.com`",
        ));
    }
    Ok(name)
}
