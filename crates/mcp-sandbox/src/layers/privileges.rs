//! Who a program runs as, and with which rights: with none, whoever it is.

use std::io;

use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::thread::{
    CapabilitiesSecureBits, CapabilitySet, CapabilitySets, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_capabilities_secure_bits,
};
use serde::{Deserialize, Serialize};

/// The user and group that programs run as where the server is root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunAs {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// With these, being root gives no rights, and nothing gives any back.
fn no_way_back() -> CapabilitiesSecureBits {
    type Bits = CapabilitiesSecureBits;
    Bits::NO_ROOT
        | Bits::NO_ROOT_LOCKED
        | Bits::NO_SETUID_FIXUP
        | Bits::NO_SETUID_FIXUP_LOCKED
        | Bits::KEEP_CAPS_LOCKED
        | Bits::NO_CAP_AMBIENT_RAISE
        | Bits::NO_CAP_AMBIENT_RAISE_LOCKED
}

/// Becomes `user`, where this process is root. Anyone else stays who they are.
pub(crate) fn become_user(user: Option<RunAs>) -> io::Result<()> {
    if !super::is_root() {
        return Ok(());
    }
    // While there is still the right to.
    drop_bounding_set()?;
    let Some(RunAs { uid, gid }) = user else {
        return Ok(());
    };
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    setgroups(&[gid])?;
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)?;
    be_visible()
}

/// Another user's `/proc/self` belongs to root until this is said, and then the namespace could not be set up.
pub(crate) fn be_visible() -> io::Result<()> {
    Ok(set_dumpable_behavior(DumpableBehavior::Dumpable)?)
}

/// Gives up every capability, and the ways to get any.
pub(crate) fn drop_capabilities() -> io::Result<()> {
    drop_bounding_set()?;
    match set_capabilities_secure_bits(no_way_back()) {
        // Only who may set them needs them: without that right, no new privileges is as good.
        Ok(()) | Err(Errno::PERM) => {}
        Err(error) => return Err(error.into()),
    }
    clear_ambient_capability_set()?;
    let none = CapabilitySet::empty();
    let sets = CapabilitySets {
        effective: none,
        permitted: none,
        inheritable: none,
    };
    Ok(set_capabilities(None, sets)?)
}

fn drop_bounding_set() -> io::Result<()> {
    for number in 0..64 {
        match remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << number)) {
            Ok(()) => {}
            // One more than the kernel has; or nothing to drop with, and then nothing to be had either, without new
            // privileges.
            Err(Errno::INVAL | Errno::PERM) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
