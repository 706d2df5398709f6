//! Named conditions with reasons. A process is ready (or alive) while every one of them holds.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A set of conditions; cheap to clone, all clones show the same.
#[derive(Clone, Debug, Default)]
pub struct Conditions(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    reasons: BTreeMap<&'static str, Option<String>>,
    notes: BTreeMap<&'static str, String>,
}

impl Conditions {
    /// Adds a condition that does not hold yet, because of `reason`.
    pub fn register(&self, name: &'static str, reason: &str) -> Condition {
        let condition = Condition {
            name,
            set: self.clone(),
        };
        condition.fails(reason);
        condition
    }

    /// Says something that whoever asks should know, and that is no reason not to be ready. The last one of a name stays.
    pub fn note(&self, name: &'static str, text: impl Into<String>) {
        self.lock().notes.insert(name, text.into());
    }

    /// What was noted, in the order of names.
    pub fn notes(&self) -> Vec<(&'static str, String)> {
        let state = self.lock();
        let notes = state.notes.iter();
        notes.map(|(name, text)| (*name, text.clone())).collect()
    }

    /// The conditions that do not hold, with their reasons, in the order of their names. Empty means all hold.
    pub fn failing(&self) -> Vec<(&'static str, String)> {
        self.lock()
            .reasons
            .iter()
            .filter_map(|(name, reason)| Some((*name, reason.clone()?)))
            .collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // A panic elsewhere while the lock was held leaves the maps whole: each change is one insert.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One condition of a set.
#[derive(Clone, Debug)]
pub struct Condition {
    name: &'static str,
    set: Conditions,
}

impl Condition {
    /// The condition holds.
    pub fn holds(&self) {
        self.set.lock().reasons.insert(self.name, None);
    }

    /// The condition does not hold, because of `reason`. Returns whether that is news.
    pub fn fails(&self, reason: impl Into<String>) -> bool {
        let reason = Some(reason.into());
        self.set.lock().reasons.insert(self.name, reason.clone()) != Some(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::Conditions;

    #[test]
    fn all_conditions_must_hold() {
        let ready = Conditions::default();
        let broker = ready.register("broker", "not connected yet");
        let server = ready.register("server", "not asked yet");
        broker.holds();
        assert_eq!(ready.failing(), [("server", "not asked yet".to_owned())]);
        server.holds();
        assert!(ready.failing().is_empty());
        assert!(broker.fails("lost"));
        assert!(!broker.fails("lost"));
        assert_eq!(ready.failing(), [("broker", "lost".to_owned())]);
    }
}
