//! The actions this program has, as binding and checking see them.

use std::collections::BTreeMap;

use serde_json::Value;
use windlass_core::plan::bind::Catalogue;
use windlass_core::plan::{Effect, Facts, flow};
use windlass_engine::action::ActionSet;

/// The actions of this program.
#[derive(Debug)]
pub struct Actions(pub ActionSet);

impl Actions {
    /// Every action that Windlass ships.
    pub fn shipped() -> Self {
        Self(windlass_actions::all())
    }

    /// Every action and flow word by name, with the names of its parameters: what runbooks are checked against.
    pub fn parameters(&self) -> BTreeMap<&'static str, Vec<String>> {
        let words = [
            ("approval", schemars::schema_for!(flow::ApprovalParams)),
            ("confirm", schemars::schema_for!(flow::ConfirmParams)),
            ("wait", schemars::schema_for!(flow::WaitParams)),
            ("watch", schemars::schema_for!(flow::WatchParams)),
            ("call", schemars::schema_for!(flow::CallParams)),
        ];
        let actions = self.0.iter().filter(|action| action.name() != "script");
        words
            .iter()
            .map(|(name, schema)| (*name, fields(schema)))
            .chain(actions.map(|action| (action.name(), fields(&action.params_schema()))))
            .collect()
    }
}

impl Catalogue for Actions {
    fn knows(&self, action: &str) -> bool {
        self.0.get(action).is_some()
    }

    fn names(&self) -> Vec<&str> {
        self.0.iter().map(|action| action.name()).collect()
    }

    fn complete(&self, action: &str, params: Value, facts: &Facts) -> Value {
        crate::defaults::complete(action, params, facts)
    }

    fn accepts(&self, action: &str, params: &Value) -> Result<(), String> {
        let known = self.0.get(action).ok_or_else(|| format!("unknown action `{action}`"))?;
        known.accepts(params).map_err(|error| error.to_string())
    }

    fn effects(&self, action: &str, params: &Value, facts: &Facts) -> Result<Vec<Effect>, String> {
        let known = self.0.get(action).ok_or_else(|| format!("unknown action `{action}`"))?;
        known.effects(params, facts).map_err(|error| error.to_string())
    }

    fn label(&self, action: &str, params: &Value, facts: &Facts) -> String {
        self.0.get(action).map_or_else(|| action.to_owned(), |known| known.label(params, facts))
    }

    fn is_message(&self, action: &str) -> bool {
        self.0.get(action).is_some_and(|known| known.is_message())
    }

    fn retries(&self, action: &str) -> u32 {
        self.0.get(action).map_or(0, |known| known.retries())
    }
}

fn fields(schema: &schemars::Schema) -> Vec<String> {
    let properties = schema.get("properties").and_then(Value::as_object);
    properties.map(|properties| properties.keys().cloned().collect()).unwrap_or_default()
}
