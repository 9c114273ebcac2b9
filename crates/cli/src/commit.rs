//! Commits that commands make themselves, of exactly the files they wrote.

use crate::error::Result;
use crate::facts::failed;
use crate::project::Project;

/// Commits `paths`, new ones included and nothing else that may be staged; gives the commit's id.
///
/// # Errors
/// When git refuses, such as without a name and an address of the person.
pub fn paths(project: &Project, paths: &[String], message: &str) -> Result<String> {
    let git = project.git();
    project.block_on(async {
        let mut add = vec!["--literal-pathspecs".to_owned(), "add".into(), "--".into()];
        add.extend(paths.iter().cloned());
        git.act(add, None).await.map_err(failed)?;
        let mut commit: Vec<String> =
            ["--literal-pathspecs", "commit", "--quiet", "--file=-", "--only", "--"].map(String::from).into();
        commit.extend(paths.iter().cloned());
        git.act(commit, Some(message)).await.map_err(failed)?;
        git.require_commit("HEAD").await.map_err(failed)
    })?
}
