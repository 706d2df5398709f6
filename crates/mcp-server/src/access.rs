//! Who may call, how much at once, and what is written down about it.
//!
//! A request passes its gate first: the key, then its rate, both before the body is read and without a lock. When the
//! message has been read, a request takes a place, in the server and of its key, and what the caller may do with which
//! tool is asked. Other messages take none: whoever has all its places taken must still be able to answer and to cancel.

pub(crate) mod audit;
pub(crate) mod gate;
mod key_command;
pub(crate) mod keys;
mod limits;
pub(crate) mod load;
pub(crate) mod reload;
mod scope;
pub(crate) mod settings;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use key_command::NewKey;
pub use keys::ApiKey;
pub use scope::Scope;

use audit::AuditLog;
use keys::Keyring;
use load::Load;
use settings::AccessConfig;

/// Everything that decides about a request; cheap to clone, all clones are the same.
#[derive(Clone)]
pub struct Access(Arc<Shared>);

struct Shared {
    /// None where no key is asked for.
    keys: Option<RwLock<Arc<Keyring>>>,
    anonymous: Arc<ApiKey>,
    load: Load,
    audit: AuditLog,
    began: Instant,
}

impl Access {
    /// The access that the configuration describes.
    pub(crate) fn new(config: &AccessConfig) -> Self {
        let keys = config.keys.as_ref().map(|file| file.keys.clone());
        gate::register_reasons();
        Self(Arc::new(Shared {
            keys: keys.map(|keys| RwLock::new(Arc::new(keys))),
            anonymous: Arc::new(ApiKey::anonymous(config.limits)),
            load: Load::new(config),
            audit: AuditLog::new(&config.audit),
            began: Instant::now(),
        }))
    }

    /// The load of this process.
    pub(crate) fn load(&self) -> &Load {
        &self.0.load
    }

    /// Where calls are written down.
    pub(crate) fn audit(&self) -> &AuditLog {
        &self.0.audit
    }

    /// Whether no key is asked for.
    pub(crate) fn is_open(&self) -> bool {
        self.0.keys.is_none()
    }

    /// Who calls where no key is asked for.
    pub(crate) fn anonymous(&self) -> &Arc<ApiKey> {
        &self.0.anonymous
    }

    /// Whether a key that was in force still is.
    pub(crate) fn is_in_force(&self, key: &ApiKey) -> bool {
        self.keyring().is_none_or(|keys| keys.holds(key))
    }

    /// The key of that name and id.
    pub(crate) fn named(&self, name: &str, id: &str) -> Option<Arc<ApiKey>> {
        match self.keyring() {
            Some(keys) => keys.named(name, id).cloned(),
            None => Some(Arc::clone(self.anonymous())),
        }
    }

    fn age(&self) -> Duration {
        self.0.began.elapsed()
    }

    /// The keys of this moment; None where none is asked for.
    fn keyring(&self) -> Option<Arc<Keyring>> {
        let keys = self.0.keys.as_ref()?;
        // A panic elsewhere leaves the pointer whole.
        Some(keys.read().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Takes up changes of the file of keys until `stop`.
    pub(crate) async fn follow(&self, config: AccessConfig, stop: CancellationToken) {
        let Some(file) = config.keys else {
            return;
        };
        let access = self.clone();
        let apply = |texts: &[String]| {
            let keys = Keyring::parse(&texts[0], config.limits).map_err(|bad| bad.to_string())?;
            if keys.len() == 0 {
                return Err("the file holds no key".into());
            }
            let done = format!("{} keys are in force", keys.len());
            access.replace(keys);
            Ok(done)
        };
        reload::watch("MCP_API_KEYS_FILE", vec![file.path], apply, stop).await;
    }

    /// Puts new keys in the place of the old ones. A key that stays keeps what it has used of its limits.
    fn replace(&self, new: Keyring) {
        if let Some(keys) = &self.0.keys {
            let mut keys = keys.write().unwrap_or_else(PoisonError::into_inner);
            *keys = Arc::new(new.inheriting(&keys));
        }
    }
}
