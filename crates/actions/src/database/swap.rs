//! A restored database in the place of another one, and back: what stands where is read from the server each time, so
//! that whoever was killed in between goes on from what is.

use serde::{Deserialize, Serialize};
use windlass_core::text::sanitize_line;
use windlass_engine::action::{ActionError, Result};
use windlass_engine::context::Context;

use super::catalogue::Entry;
use super::tools::{Tools, Trouble};
use super::{BackupRef, Loss, key, proof};
use crate::deploy::lock::item;

const LOOK: &str = "select json_build_object('name', datname, 'open', datallowconn, 'marker',
    (select substr(setting, length('windlass.restored=') + 1) from pg_db_role_setting s, unnest(s.setconfig) setting
        where s.setdatabase = d.oid and s.setrole = 0 and setting like 'windlass.restored=%'))
    from pg_database d where datname in (:'name', :'new', :'before', :'aside');
";
/// Makes the new database as the real one is: owner, encoding, locale, place.
const MAKE: &str = "drop database if exists :\"new\" with (force);
select coalesce((select format('create database %I template template0 owner %I encoding %L lc_collate %L lc_ctype %L tablespace %I',
        :'new', pg_get_userbyid(d.datdba), pg_encoding_to_char(d.encoding), d.datcollate, d.datctype, t.spcname)
    || case when j->>'datlocprovider' = 'i'
        then format(' locale_provider icu icu_locale %L', coalesce(j->>'daticulocale', j->>'datlocale')) else '' end
    from pg_database d cross join lateral to_jsonb(d) j join pg_tablespace t on t.oid = d.dattablespace
    where d.datname = :'name'), format('create database %I template template0', :'new'))
\\gexec
";
/// Gives the new database what belongs to the real one and is in no dump: limits, settings, rights; and the marker.
const DRESS: &str = "select format('alter database %I connection limit %s', :'new', datconnlimit) from pg_database where datname = :'name'
\\gexec
select format(case when s.setrole = 0 then 'alter database %1$I' else 'alter role %2$I in database %1$I' end, :'new', pg_get_userbyid(s.setrole))
    || format(' set %s to ', substr(setting, 1, strpos(setting, '=') - 1))
    || case when substr(setting, 1, strpos(setting, '=') - 1) in ('search_path', 'local_preload_libraries', 'session_preload_libraries', 'temp_tablespaces')
        then substr(setting, strpos(setting, '=') + 1) else quote_literal(substr(setting, strpos(setting, '=') + 1)) end
    from pg_db_role_setting s join pg_database d on d.oid = s.setdatabase, unnest(s.setconfig) setting
    where d.datname = :'name' and setting not like 'windlass.%'
\\gexec
select format('revoke all on database %I from public', :'new') from pg_database where datname = :'name' and datacl is not null
\\gexec
select format('grant %s on database %I to %s', a.privilege_type, :'new',
        case when a.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end)
    || case when a.is_grantable then ' with grant option' else '' end
    from pg_database d, aclexplode(d.datacl) a where d.datname = :'name' and a.grantee <> d.datdba
\\gexec
alter database :\"new\" set windlass.restored = :'marker';
";

/// What is written on a restored database, as its setting `windlass.restored`: it goes where the database goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// The run.
    pub run: String,
    /// The step.
    pub step: String,
    /// The backup.
    pub backup: BackupRef,
    /// What was lost by it, as far as it was known.
    pub loss: Option<Loss>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Known {
    name: String,
    open: bool,
    marker: Option<String>,
}

/// What stands where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Nothing of this step is there.
    Before,
    /// The restored database is whole and marked, and not in its place yet.
    Ready(Marker),
    /// It is in its place; `false` when nobody can connect to it.
    Restored(Marker, bool),
}

/// The databases of one restore.
#[derive(Debug)]
pub struct Swap<'a> {
    tools: &'a Tools<'a>,
    run: String,
    step: String,
    /// What the restored database is called until it is in its place.
    pub new: String,
    /// What the database of before is called then.
    pub before: String,
    /// What the restored one is called when it was taken back.
    pub aside: String,
    known: Vec<Known>,
}

impl<'a> Swap<'a> {
    /// Looks at what is there.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub async fn look(tools: &'a Tools<'a>, context: &Context) -> Result<Self> {
        let key = key(context);
        let mut swap = Self {
            tools,
            run: context.run.0.clone(),
            step: item(context),
            new: tools.name_for("restored", &key),
            before: tools.name_for("before", &key),
            aside: tools.name_for("undone", &key),
            known: Vec::new(),
        };
        let told = tools.query(&tools.database.maintenance, LOOK, &swap.names()).await?;
        for line in told.lines() {
            swap.known.push(serde_json::from_str(line).map_err(|error| {
                let shown: String = sanitize_line(line).chars().take(200).collect();
                ActionError::Failed(format!("the list of databases cannot be understood ({error}): {shown}"))
            })?);
        }
        Ok(swap)
    }

    fn names(&self) -> [(&str, &str); 4] {
        let name = self.tools.database.name.as_str();
        [("name", name), ("new", &self.new), ("before", &self.before), ("aside", &self.aside)]
    }

    fn find(&self, name: &str) -> Option<&Known> {
        self.known.iter().find(|known| known.name == name)
    }

    fn marker(&self, name: &str) -> Option<Marker> {
        let marker: Marker = serde_json::from_str(self.find(name)?.marker.as_deref()?).ok()?;
        (marker.run == self.run && marker.step == self.step).then_some(marker)
    }

    /// Whether there is a database under its own name.
    pub fn has_name(&self) -> bool {
        self.find(&self.tools.database.name).is_some()
    }

    /// Whether the database of before is there.
    pub fn has_before(&self) -> bool {
        self.find(&self.before).is_some()
    }

    /// Whether anything of this step is on the server.
    pub fn has_new(&self) -> bool {
        self.find(&self.new).is_some()
    }

    /// What stands where.
    pub fn place(&self) -> Place {
        let name = &self.tools.database.name;
        if let Some(marker) = self.marker(name) {
            return Place::Restored(marker, self.find(name).is_some_and(|known| known.open));
        }
        self.marker(&self.new).map_or(Place::Before, Place::Ready)
    }

    /// Restores the backup beside the database, checks it, and marks it as whole.
    ///
    /// # Errors
    /// When it cannot be restored, or is not right; then it is gone, and the database was not touched.
    pub async fn prepare(&self, entry: &Entry, context: &Context) -> Result<Marker> {
        let made = self.prepared(entry, context).await;
        if made.is_err() {
            // Its name is found again, should this not work either.
            let _left = self.drop_new().await;
        }
        made
    }

    async fn prepared(&self, entry: &Entry, context: &Context) -> Result<Marker> {
        let tools = self.tools;
        let untouched = |trouble: Trouble| match trouble {
            Trouble::Unfit(why) => ActionError::Final(format!(
                "the backup {} in {} cannot be restored: {why}; the database {} was not touched; choose another backup",
                entry.id,
                tools.store(),
                tools.database.name
            )),
            Trouble::Other(error) => error,
        };
        let dump = tools.fetch(entry).await.map_err(untouched)?;
        tools.query(&tools.database.maintenance, MAKE, &self.names()).await?;
        let path = format!("{}/{}", tools.folder()?, dump.file);
        let loaded = tools.call("load", &[&self.new, &path], &[], "").await.map_err(untouched);
        tools.release(&dump).await?;
        loaded?;
        proof::check(tools, &self.new, entry).await?;
        let loss = match self.has_name() {
            true => Some(tools.loss(&entry.reference()).await?),
            false => None,
        };
        if let Some(why) = loss.as_ref().and_then(|loss| loss.unknown.as_deref()) {
            context.log(&format!("how many rows are lost is not known: {why}"));
        }
        let marker =
            Marker { run: self.run.clone(), step: self.step.clone(), backup: entry.reference(), loss };
        let text = serde_json::to_string(&marker).map_err(|error| ActionError::Final(error.to_string()))?;
        let mut values = self.names().to_vec();
        values.push(("marker", &text));
        tools.query(&tools.database.maintenance, DRESS, &values).await?;
        Ok(marker)
    }

    /// The restored database in its place: whoever writes is kept off and sent away first, and both names change in one
    /// transaction.
    ///
    /// # Errors
    /// When the databases cannot be renamed; then all is as it was, and open.
    pub async fn switch(&self) -> Result<()> {
        let before = if self.has_name() { self.before.as_str() } else { "" };
        let words = [self.tools.database.name.as_str(), &self.new, before];
        self.tools.call("swap", &words, &[], "").await.map(drop).map_err(ActionError::from)
    }

    /// The database of before in its place again, and the restored one aside.
    ///
    /// # Errors
    /// As [`Self::switch`].
    pub async fn switch_back(&self) -> Result<String> {
        let aside = match self.find(&self.aside) {
            None => self.aside.clone(),
            Some(_) => {
                let now = self.tools.now().await?.as_second().to_string();
                self.tools.name_for("undone", &format!("{}-{now}", self.run))
            }
        };
        let words = [self.tools.database.name.as_str(), &self.before, &aside];
        self.tools.call("swap", &words, &[], "").await?;
        Ok(aside)
    }

    /// Lets everybody connect again.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn open(&self) -> Result<()> {
        if !self.has_name() {
            return Ok(());
        }
        let open = "alter database :\"name\" allow_connections true;";
        self.tools.query(&self.tools.database.maintenance, open, &self.names()).await.map(drop)
    }

    /// Removes what was restored and is not in its place.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn drop_new(&self) -> Result<()> {
        let drop_it = "drop database if exists :\"new\" with (force);";
        self.tools.query(&self.tools.database.maintenance, drop_it, &self.names()).await.map(drop)
    }
}
