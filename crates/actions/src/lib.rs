//! The actions of Windlass: this file is the list, one file per action.

use windlass_engine::action::ActionSet;

pub mod adapters;
pub mod backup_create;
pub mod backup_verify;
pub mod changelog_promote;
pub mod database;
pub mod database_migrate;
pub mod database_restore;
pub mod deploy;
pub mod deploy_blue_green;
pub mod deploy_cleanup;
pub mod deploy_compose;
pub mod deploy_previous;
pub mod deploy_rolling;
pub mod deploy_script;
pub mod deploy_verify;
pub mod forge;
pub mod forge_adoption;
pub mod forge_release;
pub mod forge_withdraw;
pub mod git_branch;
pub mod git_commit;
pub mod git_merge;
pub mod git_push;
pub mod git_tag;
pub mod grafana_annotate;
pub mod http_check;
pub mod http_traffic;
mod image;
pub mod image_tag;
pub mod image_verify;
pub mod metrics_query;
pub mod notes_write;
pub mod notify_page;
pub mod rollback_choose;
pub mod script;
pub mod traffic_hold;
pub mod traffic_release;
pub mod version_write;

/// Every action, by name. A new one is a file, its `mod` line above and its line here.
pub fn all() -> ActionSet {
    ActionSet::new()
        // Makes a branch and checks it out.
        .with(git_branch::Branch)
        // Commits what earlier steps wrote.
        .with(git_commit::Commit)
        // Merges one branch into another.
        .with(git_merge::Merge)
        // Tags the release, signed on request.
        .with(git_tag::CreateTag)
        // Publishes branch and tag, both or none.
        .with(git_push::Push)
        // Shows the release on its forge, with its notes.
        .with(forge_release::ForgeRelease)
        // Marks a release as withdrawn on its forge, or deletes it with its tag.
        .with(forge_withdraw::WithdrawRelease)
        // Counts what was downloaded of a release, and the issues about it.
        .with(forge_adoption::Adoption)
        // Writes the version into every file that states it.
        .with(version_write::WriteVersion)
        // Turns the changelog's unreleased section into the release's.
        .with(changelog_promote::Promote)
        // Writes the release notes to a file.
        .with(notes_write::WriteNotes)
        // Brings a version to hosts with docker compose.
        .with(deploy_compose::DeployCompose)
        // Brings a version to an environment with a script.
        .with(deploy_script::DeployScript)
        // Calls the people on call.
        .with(notify_page::Page)
        // Marks the release on dashboards.
        .with(grafana_annotate::Annotate)
        // Lets no requests through to an environment.
        .with(traffic_hold::HoldTraffic)
        // Lets them through again.
        .with(traffic_release::ReleaseTraffic)
        // Brings a version up beside the one with traffic, and switches.
        .with(deploy_blue_green::DeployBlueGreen)
        // Changes hosts one after the other, each out of the traffic.
        .with(deploy_rolling::DeployRolling)
        // Brings an environment back to a version it had.
        .with(deploy_previous::DeployPrevious)
        // Stops the colour without traffic.
        .with(deploy_cleanup::DeployCleanup)
        // Checks that an environment really has the version.
        .with(deploy_verify::Verify)
        // Makes a backup of a database.
        .with(backup_create::CreateBackup)
        // Proves the newest backup.
        .with(backup_verify::VerifyBackup)
        // Migrates a database.
        .with(database_migrate::Migrate)
        // Puts a backup in a database's place.
        .with(database_restore::RestoreDatabase)
        // Chooses the way back.
        .with(rollback_choose::ChooseRollback)
        // Gives an image another tag, such as `latest` back.
        .with(image_tag::TagImage)
        // Checks that images can be had from their registries.
        .with(image_verify::VerifyImage)
        // Runs a script of the runbook.
        .with(script::Script)
        // Asks a URL and looks at the answer.
        .with(http_check::HttpCheck)
        // Makes requests where customers make too few.
        .with(http_traffic::HttpTraffic)
        // Asks Prometheus, a script or a command for numbers.
        .with(metrics_query::QueryMetrics)
}

/// The start of a commit's id, for people.
pub(crate) fn short(id: &str) -> &str {
    id.get(..10).unwrap_or(id)
}
