//! Named conditions with reasons. A process is ready (or alive) while every one of them holds. Beside them notices: what
//! an operator should know, and what makes nothing unready.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A set of conditions; cheap to clone, all clones show the same.
#[derive(Clone, Debug, Default)]
pub struct Conditions(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    conditions: BTreeMap<&'static str, Option<String>>,
    notices: BTreeMap<&'static str, String>,
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

    /// The conditions that do not hold, with their reasons, in the order of their names. Empty means all hold.
    pub fn failing(&self) -> Vec<(&'static str, String)> {
        self.lock()
            .conditions
            .iter()
            .filter_map(|(name, reason)| Some((*name, reason.clone()?)))
            .collect()
    }

    /// A notice of that name, which says nothing yet.
    pub fn notice(&self, name: &'static str) -> Notice {
        Notice {
            name,
            set: self.clone(),
        }
    }

    /// What notices say, in the order of their names.
    pub fn notices(&self) -> Vec<(&'static str, String)> {
        let state = self.lock();
        let notices = state.notices.iter();
        notices.map(|(name, text)| (*name, text.clone())).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // A panic elsewhere while the lock was held leaves the maps whole: each change is one insert or removal.
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
        self.set.lock().conditions.insert(self.name, None);
    }

    /// The condition does not hold, because of `reason`. Returns whether that is news.
    pub fn fails(&self, reason: impl Into<String>) -> bool {
        let reason = Some(reason.into());
        let mut state = self.set.lock();
        state.conditions.insert(self.name, reason.clone()) != Some(reason)
    }
}

/// One notice of a set.
#[derive(Clone, Debug)]
pub struct Notice {
    name: &'static str,
    set: Conditions,
}

impl Notice {
    /// It says this, in place of what it said before.
    pub fn says(&self, text: impl Into<String>) {
        self.set.lock().notices.insert(self.name, text.into());
    }

    /// It says nothing more.
    pub fn clear(&self) {
        self.set.lock().notices.remove(self.name);
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

    #[test]
    fn a_notice_is_told_and_makes_nothing_unready() {
        let ready = Conditions::default();
        let database = ready.notice("database");
        database.says("away");
        assert_eq!(ready.notices(), [("database", "away".to_owned())]);
        assert!(ready.failing().is_empty());
        database.clear();
        assert!(ready.notices().is_empty());
    }
}
