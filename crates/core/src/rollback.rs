//! Which way leads back from a bad release: chosen from facts, and told in words before anything is done.
//!
//! The rule is the one release documents write as a table: nothing about the data changed, or only by what the old
//! version can live with: the application alone goes back. Something was destroyed: the data goes back too, to a backup
//! from before it, and somebody must agree to what is lost. Credentials leaked: the same version again, with new ones. A
//! small thing: nothing goes back, because going back costs more than waiting for the next patch.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::Duration;

/// What a migration does to the version before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// It changes no schema and no data.
    #[default]
    None,
    /// The version before works with what it leaves: a new table, a column that may be empty.
    BackwardCompatible,
    /// The version before does not work with what it leaves, or data is gone: a dropped or renamed column.
    Destructive,
}

impl Class {
    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::BackwardCompatible => "backward-compatible",
            Self::Destructive => "destructive",
        }
    }
}

/// A migration that was applied after the version to go back to was deployed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Migration {
    /// What it is called.
    pub name: String,
    /// Its class, as it was recorded when it was applied.
    pub class: Class,
    /// The version it came with.
    pub version: String,
    /// When it was applied.
    #[schemars(with = "String")]
    pub at: Timestamp,
}

/// A backup the data can go back to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Backup {
    /// Its id in the catalogue of the tool that made it.
    pub id: String,
    /// When it was taken.
    #[schemars(with = "String")]
    pub taken: Timestamp,
    /// It was restored once, and what came out was as it should be.
    pub is_proven: bool,
    /// How long restoring it took then.
    #[schemars(with = "Option<String>")]
    pub recovery: Option<Duration>,
}

/// Why the release is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// It does not work as it should.
    #[default]
    Defect,
    /// It loses or damages data.
    DataLoss,
    /// Others can do with it what they must not.
    Vulnerability,
    /// It does not answer at all.
    Outage,
    /// What used it does not work with it any more, though its number says that it would.
    BreakingChange,
    /// What it can be entered with is known to others. Another version would be entered with the same.
    Credentials,
    /// A small defect that there is a way around.
    Minor,
    /// A feature that is not critical does not work.
    Feature,
    /// Its documentation is wrong.
    Documentation,
}

impl Cause {
    /// What is no reason to go back, in words.
    fn small(self) -> Option<&'static str> {
        match self {
            Self::Minor => Some("a small defect with a way around it"),
            Self::Feature => Some("a feature that is not critical"),
            Self::Documentation => Some("an error in the documentation"),
            _ => None,
        }
    }

    /// The version that is there stays, whatever was there before.
    pub fn stays(self) -> bool {
        self == Self::Credentials || self.small().is_some()
    }
}

/// What is known about an environment when it is to go back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Situation {
    /// The environment.
    pub environment: String,
    /// Why.
    pub cause: Cause,
    /// The version that is there.
    pub current: Option<String>,
    /// The version to go back to.
    pub target: Option<String>,
    /// Every host that answered has the version to go back to, deployed to its end.
    pub is_there: bool,
    /// The hosts that did not answer: what they have is not known.
    pub silent: Vec<String>,
    /// The hosts that answered and have nothing, while others have something.
    pub empty: Vec<String>,
    /// The version to go back to still runs and only waits for traffic.
    pub is_hot: bool,
    /// What was applied to the database since, oldest first; the reason where it cannot be known.
    pub migrations: Result<Vec<Migration>, String>,
    /// The newest backup from before the first destructive one of them; the reason where there is none.
    pub backup: Result<Backup, String>,
    /// What was written since that backup, in words, where somebody said how to count it.
    pub written: Option<String>,
    /// Now.
    pub now: Timestamp,
}

/// The way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// The version before is there again already.
    Nothing,
    /// The version before; the data stays.
    Application,
    /// Traffic is held, the data goes back to a backup, then the version before.
    Database,
    /// The same version again, with new credentials.
    SameVersion,
    /// The version stays, and the next patch corrects it.
    Forward,
    /// There is none that could be gone without a person.
    Person,
}

/// What was chosen, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Choice {
    /// The way.
    pub way: Way,
    /// Why, in a sentence.
    pub why: String,
    /// What is going to be done, a sentence each.
    pub steps: Vec<String>,
    /// What is lost on this way, in words; nothing when nothing is.
    pub loss: Option<String>,
}

/// Chooses the way. Hosts that did not answer are named in the reason, because they may have any version, and so are those
/// that have nothing, because going back leaves them as they are.
pub fn choose(situation: &Situation) -> Choice {
    let mut choice = by_rule(situation);
    let (silent, empty) = (situation.silent.join(", "), situation.empty.join(", "));
    if !silent.is_empty() {
        choice.why += &format!("; what is on {silent} is not known: no answer from there");
    }
    if !empty.is_empty() {
        choice.why += &format!("; nothing is on {empty}, and that stays so");
    }
    choice
}

fn by_rule(situation: &Situation) -> Choice {
    let Situation { environment, current, target, .. } = situation;
    let shown = current.as_deref().unwrap_or("nothing");
    if let Some(small) = situation.cause.small() {
        return Choice {
            way: Way::Forward,
            why: format!("{small} is no reason to go back: {shown} stays"),
            steps: vec!["the next patch corrects it".into()],
            loss: None,
        };
    }
    if situation.cause == Cause::Credentials {
        let Some(current) = current else {
            return by_person(format!("{environment} has no version that could be deployed again"));
        };
        return Choice {
            way: Way::SameVersion,
            why: format!(
                "credentials leaked: an older version would be entered with the same ones, so {current} stays"
            ),
            steps: vec![
                "the credentials are replaced and the old ones revoked, by a person".into(),
                format!("{current} is deployed again, with the new ones"),
                "the logs are looked through for who used the old ones".into(),
            ],
            loss: None,
        };
    }
    let Some(target) = target else {
        return by_person(format!(
            "{environment} has {shown} and nothing is known to have been there before: there is no version to go back to"
        ));
    };
    let migrations = match &situation.migrations {
        Ok(migrations) => migrations,
        Err(why) => {
            return by_person(format!("whether {target} can work with the data is not known: {why}"));
        }
    };
    let destructive: Vec<&Migration> =
        migrations.iter().filter(|migration| migration.class == Class::Destructive).collect();
    if destructive.is_empty() && situation.is_there && situation.silent.is_empty() {
        let why = format!("{environment} has {target} already");
        return Choice { way: Way::Nothing, why, steps: Vec::new(), loss: None };
    }
    let Some(first) = destructive.first() else {
        return Choice {
            way: Way::Application,
            why: match migrations.len() {
                0 => format!("nothing was migrated since {target}: the application alone goes back"),
                1 => format!(
                    "{} is no trouble to {target}: the application alone goes back",
                    named(migrations)
                ),
                _ => format!(
                    "{} are no trouble to {target}: the application alone goes back",
                    named(migrations)
                ),
            },
            steps: [Some(application(situation, target)), unrepaired(situation)]
                .into_iter()
                .flatten()
                .collect(),
            loss: None,
        };
    };
    let cause = format!("{} destroyed what {target} needs", named(destructive.iter().copied()));
    let backup = match &situation.backup {
        Ok(backup) if backup.taken <= first.at => backup,
        Ok(backup) => {
            return by_person(format!(
                "{cause}, and the backup {} was taken after it, {}: going forward with a correction is what is left",
                backup.id, backup.taken
            ));
        }
        Err(why) => {
            return by_person(format!("{cause}, and {why}: going forward with a correction is what is left"));
        }
    };
    let mut steps = vec![
        "traffic is held".to_owned(),
        format!(
            "the database goes back to the backup {} of {}{}",
            backup.id,
            backup.taken,
            match (backup.is_proven, backup.recovery) {
                (true, Some(time)) => format!(", which was restored before in {time}"),
                (true, None) => ", which was restored before".to_owned(),
                (false, _) => ", which was never restored so far".to_owned(),
            }
        ),
    ];
    steps.push(application(situation, target));
    steps.push("traffic is let in again".to_owned());
    Choice { way: Way::Database, why: cause, steps, loss: Some(lost(situation, backup)) }
}

fn by_person(why: String) -> Choice {
    Choice { way: Way::Person, why, steps: Vec::new(), loss: None }
}

fn application(situation: &Situation, target: &str) -> String {
    match situation.is_hot {
        true => format!("traffic goes back to {target}, which still runs"),
        false => format!("{target} is deployed again, by the images it had"),
    }
}

/// What going back does not bring back.
fn unrepaired(situation: &Situation) -> Option<String> {
    (situation.cause == Cause::DataLoss).then(|| {
        "what was damaged stays so: a person decides what comes out of a backup, with database.restore"
            .to_owned()
    })
}

fn lost(situation: &Situation, backup: &Backup) -> String {
    let seconds = situation.now.as_second().saturating_sub(backup.taken.as_second());
    let age = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    match &situation.written {
        Some(written) => format!("all that was written since {} ({age}): {written}", backup.taken),
        None => format!("all that was written since {} ({age})", backup.taken),
    }
}

fn named<'m>(migrations: impl IntoIterator<Item = &'m Migration>) -> String {
    let names: Vec<String> = migrations
        .into_iter()
        .map(|migration| match migration.class {
            Class::Destructive => migration.name.clone(),
            Class::BackwardCompatible => format!("{} (backward-compatible)", migration.name),
            Class::None => format!("{} (no change of the schema)", migration.name),
        })
        .collect();
    match names.as_slice() {
        [one] => format!("the migration {one}"),
        _ => format!("the migrations {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("2026-11-21T{text}:00Z").parse().unwrap()
    }

    fn migration(name: &str, class: Class, time: &str) -> Migration {
        Migration { name: name.into(), class, version: "1.2.0".into(), at: at(time) }
    }

    fn backup(time: &str) -> Backup {
        Backup { id: "b7".into(), taken: at(time), is_proven: true, recovery: Some(Duration::from_secs(42)) }
    }

    fn situation(migrations: &[Migration]) -> Situation {
        Situation {
            environment: "production".into(),
            cause: Cause::Defect,
            current: Some("1.2.0".into()),
            target: Some("1.1.0".into()),
            is_there: false,
            silent: Vec::new(),
            empty: Vec::new(),
            is_hot: true,
            migrations: Ok(migrations.to_vec()),
            backup: Ok(backup("17:55")),
            written: Some("312 orders".into()),
            now: at("18:20"),
        }
    }

    fn check(situation: &Situation, expect: &str) {
        let Choice { way, why, steps, loss } = choose(situation);
        let told = format!("{way:?}: {why}\n{}\n{}", steps.join("\n"), loss.unwrap_or_default());
        assert_eq!(told.trim_end(), expect);
    }

    #[test]
    fn the_way_follows_from_the_facts() {
        let plain = situation(&[]);
        let back = "traffic goes back to 1.1.0, which still runs";
        check(
            &plain,
            &format!(
                "Application: nothing was migrated since 1.1.0: the application alone goes back\n{back}"
            ),
        );
        check(
            &Situation { is_hot: false, ..plain.clone() },
            "Application: nothing was migrated since 1.1.0: the application alone goes back\n\
             1.1.0 is deployed again, by the images it had",
        );
        check(
            &situation(&[migration("003_note", Class::BackwardCompatible, "18:00")]),
            &format!(
                "Application: the migration 003_note (backward-compatible) is no trouble to 1.1.0: the application \
                 alone goes back\n{back}"
            ),
        );
        let destructive = situation(&[
            migration("003_note", Class::BackwardCompatible, "17:59"),
            migration("004_drop", Class::Destructive, "18:00"),
        ]);
        check(
            &destructive,
            &format!(
                "Database: the migration 004_drop destroyed what 1.1.0 needs\ntraffic is held\nthe database goes back \
                 to the backup b7 of 2026-11-21T17:55:00Z, which was restored before in 42s\n{back}\ntraffic is let in \
                 again\nall that was written since 2026-11-21T17:55:00Z (25m): 312 orders"
            ),
        );
        check(
            &Situation { backup: Ok(backup("18:05")), ..destructive.clone() },
            "Person: the migration 004_drop destroyed what 1.1.0 needs, and the backup b7 was taken after it, \
             2026-11-21T18:05:00Z: going forward with a correction is what is left",
        );
        check(
            &Situation { backup: Err("there is no backup from before it".into()), ..destructive.clone() },
            "Person: the migration 004_drop destroyed what 1.1.0 needs, and there is no backup from before it: going \
             forward with a correction is what is left",
        );
        check(
            &Situation { migrations: Err("the database does not answer".into()), ..plain.clone() },
            "Person: whether 1.1.0 can work with the data is not known: the database does not answer",
        );
        check(
            &Situation { target: None, ..plain.clone() },
            "Person: production has 1.2.0 and nothing is known to have been there before: there is no version to go \
             back to",
        );
        let there = Situation { current: Some("1.1.0".into()), is_there: true, ..plain.clone() };
        check(&there, "Nothing: production has 1.1.0 already");
        check(
            &Situation { silent: vec!["web2".into(), "web3".into()], ..there.clone() },
            &format!(
                "Application: nothing was migrated since 1.1.0: the application alone goes back; what is on web2, web3 is \
                 not known: no answer from there\n{back}"
            ),
        );
        // A host is left half-way with the same version.
        check(
            &Situation { is_there: false, is_hot: false, ..there },
            "Application: nothing was migrated since 1.1.0: the application alone goes back\n\
             1.1.0 is deployed again, by the images it had",
        );
        check(
            &Situation { cause: Cause::Credentials, ..destructive },
            "SameVersion: credentials leaked: an older version would be entered with the same ones, so 1.2.0 stays\n\
             the credentials are replaced and the old ones revoked, by a person\n1.2.0 is deployed again, with the new \
             ones\nthe logs are looked through for who used the old ones",
        );
    }

    #[test]
    fn only_what_is_bad_enough_leads_back() {
        let migrated = situation(&[migration("004_drop", Class::Destructive, "18:00")]);
        for cause in [Cause::Defect, Cause::Vulnerability, Cause::Outage, Cause::BreakingChange] {
            assert_eq!(choose(&Situation { cause, ..situation(&[]) }).way, Way::Application, "{cause:?}");
            assert_eq!(choose(&Situation { cause, ..migrated.clone() }).way, Way::Database, "{cause:?}");
        }
        let lost = Situation { cause: Cause::DataLoss, ..situation(&[]) };
        check(
            &lost,
            "Application: nothing was migrated since 1.1.0: the application alone goes back\ntraffic goes back to 1.1.0, \
             which still runs\nwhat was damaged stays so: a person decides what comes out of a backup, with \
             database.restore",
        );
        for (cause, what) in [
            (Cause::Minor, "a small defect with a way around it"),
            (Cause::Feature, "a feature that is not critical"),
            (Cause::Documentation, "an error in the documentation"),
        ] {
            let told =
                format!("Forward: {what} is no reason to go back: 1.2.0 stays\nthe next patch corrects it");
            check(&Situation { cause, ..migrated.clone() }, &told);
        }
    }

    #[test]
    fn hosts_that_have_nothing_are_named() {
        check(
            &Situation { empty: vec!["web2".into()], ..situation(&[]) },
            "Application: nothing was migrated since 1.1.0: the application alone goes back; nothing is on web2, and that \
             stays so\ntraffic goes back to 1.1.0, which still runs",
        );
    }

    proptest! {
        #[test]
        fn data_is_lost_only_where_it_must_be_and_is_said(
            classes in proptest::collection::vec(0u8..3, 0..6), taken in 0i64..100, has_target: bool, hot: bool,
        ) {
            let class = |number| [Class::None, Class::BackwardCompatible, Class::Destructive][usize::from(number)];
            let migrations: Vec<Migration> = classes.iter().zip(0..).map(|(number, index)| Migration {
                name: format!("m{index}"), class: class(*number), version: "2".into(),
                at: Timestamp::from_second(20 * (index + 1)).unwrap(),
            }).collect();
            let first = migrations.iter().find(|migration| migration.class == Class::Destructive).map(|migration| migration.at);
            let taken = Timestamp::from_second(taken).unwrap();
            let choice = choose(&Situation {
                target: has_target.then(|| "1".to_owned()),
                is_hot: hot,
                backup: Ok(Backup { taken, ..backup("17:55") }),
                ..situation(&migrations)
            });
            let expect = match (has_target, first) {
                (false, _) => Way::Person,
                (true, None) => Way::Application,
                (true, Some(first)) if taken <= first => Way::Database,
                (true, Some(_)) => Way::Person,
            };
            prop_assert_eq!(choice.way, expect);
            prop_assert_eq!(choice.loss.is_some(), expect == Way::Database);
        }
    }
}
