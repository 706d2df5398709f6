//! What a program is boxed in with. A fresh process of our own executable does all of this to itself, in ordinary safe
//! code, and then executes the program: there is no code between a fork and an exec.

pub(crate) mod calls;
pub(crate) mod files;
pub(crate) mod namespace;
pub(crate) mod privileges;
pub(crate) mod resources;

use std::collections::BTreeSet;
use std::fmt;
use std::io;

use rustix::process::geteuid;
use rustix::thread::set_no_new_privs;
use serde::{Deserialize, Serialize};

use files::Reach;
use privileges::RunAs;
use resources::Resources;

/// One kind of restriction.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// No capabilities, none to be had again, no new privileges; for root another user, where one is configured.
    Privileges,
    /// Landlock's rules of files: what is not listed can't be read, written or executed.
    Files,
    /// Landlock's rules of TCP, where the program has no network.
    Network,
    /// Landlock's scopes: no signals to and no abstract sockets of processes outside.
    Scopes,
    /// The seccomp filter: no system calls that a tool server has no use for.
    Calls,
    /// Resource limits of each process.
    Resources,
    /// A user namespace of its own, in which the kernel counts processes for this program alone.
    Namespace,
    /// A cgroup of its own, in which the kernel counts processes, memory and processor time of all together.
    Cgroup,
    /// The launcher's look at the number and the memory of all its processes.
    Watch,
}

impl Layer {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Privileges,
        Self::Files,
        Self::Network,
        Self::Scopes,
        Self::Calls,
        Self::Resources,
        Self::Namespace,
        Self::Cgroup,
        Self::Watch,
    ];

    /// What it is called in logs and errors.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Privileges => "dropped privileges",
            Self::Files => "Landlock rules of files",
            Self::Network => "Landlock rules of TCP",
            Self::Scopes => "Landlock scopes",
            Self::Calls => "a seccomp filter",
            Self::Resources => "resource limits",
            Self::Namespace => "a user namespace",
            Self::Cgroup => "a cgroup",
            Self::Watch => "the launcher's watch",
        }
    }

    /// Whether nothing else does what this one does. Processes and memory are counted by the namespace, the cgroup and the
    /// launcher, each better than the next one in other ways, so that the kernel may lack the first two.
    pub fn is_required(self) -> bool {
        match self {
            Self::Privileges
            | Self::Files
            | Self::Network
            | Self::Scopes
            | Self::Calls
            | Self::Resources
            | Self::Watch => true,
            Self::Namespace | Self::Cgroup => false,
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A layer that can't be had here, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// Which.
    pub layer: Layer,
    /// Why, for people.
    pub why: String,
}

impl Missing {
    /// Whether nothing makes up for it. A cgroup is missing only where the operator has named a folder for it.
    pub fn is_a_loss(&self) -> bool {
        self.layer.is_required() || self.layer == Layer::Cgroup
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.layer, self.why)?;
        if !self.is_a_loss() {
            f.write_str(", which the launcher's watch makes up for")?;
        }
        Ok(())
    }
}

/// How a process is to be boxed in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Confinement {
    /// Which layers it gets, where they can be had.
    pub(crate) layers: BTreeSet<Layer>,
    /// Whether it must not run without one of the [required](Layer::is_required) ones.
    pub(crate) require: bool,
    pub(crate) run_as: Option<RunAs>,
    pub(crate) reach: Reach,
    pub(crate) resources: Resources,
}

impl Confinement {
    pub(crate) fn has(&self, layer: Layer) -> bool {
        self.layers.contains(&layer)
    }
}

/// Why a process could not box itself in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LayerError {
    #[error("{layer}: {source}")]
    Failed { layer: Layer, source: io::Error },
    #[error("{0} is missing")]
    Required(Missing),
}

impl LayerError {
    fn of(layer: Layer) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Failed { layer, source }
    }
}

/// What is to be done when the files are still reachable and the calls still allowed: between the two halves of
/// [`Confinement`].
pub(crate) struct Begun<'a> {
    confinement: &'a Confinement,
    missing: Vec<Missing>,
}

impl Confinement {
    /// The first half: privileges and resources. What comes after has the rights that the program will have, but for
    /// [`Begun::finish`].
    pub(crate) fn begin(&self) -> Result<Begun<'_>, LayerError> {
        let mut missing = Vec::new();
        if self.has(Layer::Resources) {
            self.resources
                .apply()
                .map_err(LayerError::of(Layer::Resources))?;
        }
        if self.has(Layer::Privileges) {
            privileges::become_user(self.run_as).map_err(LayerError::of(Layer::Privileges))?;
        }
        if self.has(Layer::Namespace) {
            match namespace::enter() {
                // The count is the program's alone now.
                Ok(()) => self
                    .resources
                    .apply_processes()
                    .map_err(LayerError::of(Layer::Namespace))?,
                Err(why) => missing.push(Missing {
                    layer: Layer::Namespace,
                    why,
                }),
            }
        }
        if self.has(Layer::Privileges) {
            privileges::drop_capabilities().map_err(LayerError::of(Layer::Privileges))?;
            set_no_new_privs(true)
                .map_err(|error| LayerError::of(Layer::Privileges)(error.into()))?;
        }
        Ok(Begun {
            confinement: self,
            missing,
        })
    }
}

impl Begun<'_> {
    /// The second half: files, network and calls. What is missing.
    pub(crate) fn finish(mut self) -> Result<Vec<Missing>, LayerError> {
        let confinement = self.confinement;
        self.missing.extend(files::restrict(confinement)?);
        if confinement.has(Layer::Calls)
            && let Err(why) = calls::filter(&confinement.reach)
        {
            self.missing.push(Missing {
                layer: Layer::Calls,
                why,
            });
        }
        match self.missing.iter().find(|missing| missing.is_a_loss()) {
            Some(missing) if confinement.require => Err(LayerError::Required(missing.clone())),
            _ => Ok(self.missing),
        }
    }
}

/// Whether this process is root, for whom the kernel does not count processes.
pub(crate) fn is_root() -> bool {
    geteuid().is_root()
}
