//! The trait of actions, and its erasure: what the engine can call without knowing it.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, schema_for};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use windlass_core::plan::{Effect, Facts};

use crate::context::Context;

/// Why an action did not do what it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ActionError {
    /// It failed; another attempt may help.
    #[error("{0}")]
    Failed(String),
    /// It failed, and would fail again in the same way.
    #[error("{0}")]
    Final(String),
    /// It took too long and was stopped.
    #[error("{0}")]
    TimedOut(String),
    /// The run was cancelled, and what ran was stopped.
    #[error("cancelled")]
    Cancelled,
}

impl ActionError {
    /// Another attempt may help.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::TimedOut(_))
    }
}

/// What an action gives.
pub type Result<T> = std::result::Result<T, ActionError>;

/// What the world says about an effect: was it done already?
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe<T> {
    /// Done, with what it gave.
    Done(T),
    /// Not done.
    Absent,
    /// Something else stands in its place.
    Conflict(String),
    /// The world does not say.
    Unknown,
}

/// What came of taking an effect back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Undone {
    /// Taken back; what was done, in words.
    Reverted(String),
    /// There was nothing to take back.
    NothingToDo,
    /// A person must do it; what and why.
    NeedsHuman(String),
}

/// A typed operation on the outside.
///
/// Never prints, prompts, retries or logs its own name: the interpreter wraps it. [`Context`] is its only door outside.
pub trait Action: Send + Sync + 'static {
    /// Its name, `skill.verb`.
    const NAME: &'static str;
    /// One sentence on what it does, for the reference.
    const SUMMARY: &'static str;
    /// How many further attempts a failure gets unless the runbook asks for more: for what crosses a network, and is
    /// known to be safe to try again.
    const RETRIES: u32 = 0;
    /// It only tells people something: its failure is told and is no failure of the release, and nothing stands on it.
    const IS_MESSAGE: bool = false;
    /// Its parameters; their doc comments are the reference.
    type Params: DeserializeOwned + JsonSchema + Send + Sync;
    /// What it gives to later steps.
    type Output: Serialize + DeserializeOwned + JsonSchema + Send + Sync;

    /// What it will change, from facts alone; changes nothing.
    ///
    /// # Errors
    /// [`ActionError::Final`] when the parameters cannot work in this world.
    fn effects(&self, params: &Self::Params, facts: &Facts) -> Result<Vec<Effect>>;

    /// A few words on what it will do, for people.
    fn label(&self, params: &Self::Params, facts: &Facts) -> String {
        let _ = (params, facts);
        Self::NAME.to_owned()
    }

    /// Whether it has been done already; read-only.
    fn probe(
        &self,
        params: &Self::Params,
        context: &Context,
    ) -> impl Future<Output = Result<Probe<Self::Output>>> + Send;

    /// Does it. Twice is once.
    fn run(
        &self,
        params: &Self::Params,
        context: &Context,
    ) -> impl Future<Output = Result<Self::Output>> + Send;

    /// Why what was done after this must not be taken back while this stands, such as a migration that the version before
    /// cannot live with; nothing when it may. `output` is missing where it did not come to its end. Read-only.
    fn bars(
        &self,
        params: &Self::Params,
        output: Option<&Self::Output>,
        context: &Context,
    ) -> impl Future<Output = Result<Option<String>>> + Send {
        let _ = (params, output, context);
        async { Ok(None) }
    }

    /// Takes it back. Twice is once.
    fn undo(
        &self,
        params: &Self::Params,
        output: &Self::Output,
        context: &Context,
    ) -> impl Future<Output = Result<Undone>> + Send;
}

/// What an erased action promises.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

/// An action whose types are forgotten: parameters and output are JSON.
pub trait ErasedAction: Send + Sync {
    /// [`Action::NAME`].
    fn name(&self) -> &'static str;
    /// [`Action::SUMMARY`].
    fn summary(&self) -> &'static str;
    /// [`Action::RETRIES`].
    fn retries(&self) -> u32;
    /// [`Action::IS_MESSAGE`].
    fn is_message(&self) -> bool;
    /// The JSON schema of the parameters.
    fn params_schema(&self) -> Schema;
    /// The JSON schema of the output.
    fn output_schema(&self) -> Schema;
    /// Whether `params` are parameters of this action.
    ///
    /// # Errors
    /// What is wrong with them.
    fn accepts(&self, params: &Value) -> Result<()>;
    /// [`Action::effects`].
    ///
    /// # Errors
    /// As it, and when `params` do not fit.
    fn effects(&self, params: &Value, facts: &Facts) -> Result<Vec<Effect>>;
    /// [`Action::label`], or the name when `params` do not fit.
    fn label(&self, params: &Value, facts: &Facts) -> String;
    /// [`Action::probe`].
    fn probe<'a>(&'a self, params: &'a Value, context: &'a Context) -> Boxed<'a, Probe<Value>>;
    /// [`Action::run`].
    fn run<'a>(&'a self, params: &'a Value, context: &'a Context) -> Boxed<'a, Value>;
    /// [`Action::bars`].
    fn bars<'a>(
        &'a self,
        params: &'a Value,
        output: Option<&'a Value>,
        context: &'a Context,
    ) -> Boxed<'a, Option<String>>;
    /// [`Action::undo`].
    fn undo<'a>(&'a self, params: &'a Value, output: &'a Value, context: &'a Context) -> Boxed<'a, Undone>;
}

impl<A: Action> ErasedAction for A {
    fn name(&self) -> &'static str {
        A::NAME
    }

    fn summary(&self) -> &'static str {
        A::SUMMARY
    }

    fn retries(&self) -> u32 {
        A::RETRIES
    }

    fn is_message(&self) -> bool {
        A::IS_MESSAGE
    }

    fn params_schema(&self) -> Schema {
        schema_for!(A::Params)
    }

    fn output_schema(&self) -> Schema {
        schema_for!(A::Output)
    }

    fn accepts(&self, params: &Value) -> Result<()> {
        read::<A, A::Params>("parameters", params).map(drop)
    }

    fn effects(&self, params: &Value, facts: &Facts) -> Result<Vec<Effect>> {
        Action::effects(self, &read::<A, _>("parameters", params)?, facts)
    }

    fn label(&self, params: &Value, facts: &Facts) -> String {
        read::<A, _>("parameters", params)
            .map_or_else(|_| A::NAME.to_owned(), |params| Action::label(self, &params, facts))
    }

    fn probe<'a>(&'a self, params: &'a Value, context: &'a Context) -> Boxed<'a, Probe<Value>> {
        Box::pin(async move {
            let params = read::<A, A::Params>("parameters", params)?;
            Ok(match Action::probe(self, &params, context).await? {
                Probe::Done(output) => Probe::Done(write::<A, _>(&output)?),
                Probe::Absent => Probe::Absent,
                Probe::Conflict(why) => Probe::Conflict(why),
                Probe::Unknown => Probe::Unknown,
            })
        })
    }

    fn run<'a>(&'a self, params: &'a Value, context: &'a Context) -> Boxed<'a, Value> {
        Box::pin(async move {
            let params = read::<A, A::Params>("parameters", params)?;
            write::<A, _>(&Action::run(self, &params, context).await?)
        })
    }

    fn bars<'a>(
        &'a self,
        params: &'a Value,
        output: Option<&'a Value>,
        context: &'a Context,
    ) -> Boxed<'a, Option<String>> {
        Box::pin(async move {
            let params = read::<A, A::Params>("parameters", params)?;
            // What only a person told has no output that could be read.
            let output = output.and_then(|output| read::<A, A::Output>("output", output).ok());
            Action::bars(self, &params, output.as_ref(), context).await
        })
    }

    fn undo<'a>(&'a self, params: &'a Value, output: &'a Value, context: &'a Context) -> Boxed<'a, Undone> {
        Box::pin(async move {
            let params = read::<A, A::Params>("parameters", params)?;
            let output = match read::<A, A::Output>("output", output) {
                // A person said that it was done, so what it gave is not known.
                Err(_) if output.is_null() => {
                    return Ok(Undone::NeedsHuman(format!(
                        "what {} did was only told by a person: take it back yourself",
                        A::NAME
                    )));
                }
                read => read?,
            };
            Action::undo(self, &params, &output, context).await
        })
    }
}

fn read<A: Action, T: DeserializeOwned>(what: &str, value: &Value) -> Result<T> {
    // A fence without `with:` has no parameters rather than none at all.
    let empty = Value::Object(serde_json::Map::new());
    let value = if value.is_null() && what == "parameters" { &empty } else { value };
    T::deserialize(value)
        .map_err(|error| ActionError::Final(format!("{}: its {what} do not fit: {error}", A::NAME)))
}

fn write<A: Action, T: Serialize>(value: &T) -> Result<Value> {
    serde_json::to_value(value)
        .map_err(|error| ActionError::Final(format!("{}: its output cannot be kept: {error}", A::NAME)))
}

/// The actions a program knows, by name.
#[derive(Clone, Default)]
pub struct ActionSet {
    actions: BTreeMap<&'static str, Arc<dyn ErasedAction>>,
}

impl ActionSet {
    /// A set without actions.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same set with one more action; a second of the same name takes the first one's place.
    #[must_use]
    pub fn with<A: Action>(mut self, action: A) -> Self {
        self.actions.insert(A::NAME, Arc::new(action));
        self
    }

    /// The same set with one more action whose types are forgotten already.
    #[must_use]
    pub fn with_erased(mut self, action: Arc<dyn ErasedAction>) -> Self {
        self.actions.insert(action.name(), action);
        self
    }

    /// The action of that name.
    pub fn get(&self, name: &str) -> Option<&Arc<dyn ErasedAction>> {
        self.actions.get(name)
    }

    /// All actions, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn ErasedAction>> {
        self.actions.values()
    }
}

impl std::fmt::Debug for ActionSet {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_set().entries(self.actions.keys()).finish()
    }
}
