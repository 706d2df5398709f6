//! What server, launcher and box say to each other over control sockets. Downwards goes an order: a byte with the program's
//! standard input, the length, and JSON. Upwards come a report, or the box's error.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use mcp_core::{ErrorCode, Secret};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};

use crate::layers::Confinement;

/// Longest order, in bytes. Arguments and environment are bounded far below it.
pub(crate) const ORDER_MAX: usize = 4 << 20;

/// What to start. Its environment travels here and not in the launcher's own, so that the launcher runs with none.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<String>,
    pub(crate) env: BTreeMap<String, Secret>,
    /// The working directory.
    pub(crate) dir: PathBuf,
    /// Removed when all processes are gone.
    pub(crate) scratch: PathBuf,
    /// How it is boxed in.
    pub(crate) confinement: Confinement,
    /// The program's own, which the launcher makes and removes; none where the operator has named no folder for it.
    pub(crate) cgroup: Option<PathBuf>,
}

/// Sends the program's standard input. The socket is new and empty, so this does not wait.
pub(crate) fn send_stdin(control: impl AsFd, stdin: BorrowedFd<'_>) -> io::Result<()> {
    let fds = [stdin];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&fds));
    sendmsg(
        control,
        &[io::IoSlice::new(&[0])],
        &mut ancillary,
        SendFlags::NOSIGNAL,
    )?;
    Ok(())
}

/// Receives it.
pub(crate) fn receive_stdin(control: &UnixStream) -> io::Result<OwnedFd> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0_u8; 1];
    recvmsg(
        control,
        &mut [io::IoSliceMut::new(&mut byte)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(mut fds) = message
            && let Some(fd) = fds.next()
        {
            return Ok(fd);
        }
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

/// The order as it travels: its length, then JSON.
pub(crate) fn encode(order: &Order) -> io::Result<Vec<u8>> {
    let text = serde_json::to_vec(order)?;
    let length = u32::try_from(text.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    Ok([&length.to_be_bytes(), text.as_slice()].concat())
}

/// Sends the order with the program's standard input, and waits until both are taken.
pub(crate) fn send(
    mut control: &UnixStream,
    stdin: BorrowedFd<'_>,
    order: &Order,
) -> io::Result<()> {
    send_stdin(control, stdin)?;
    control.write_all(&encode(order)?)
}

/// Receives the JSON of an order.
pub(crate) fn receive_text(control: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut length = [0_u8; 4];
    control.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > ORDER_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut text = vec![0; length];
    control.read_exact(&mut text)?;
    Ok(text)
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Report {
    /// It could not be started.
    NotStarted(String),
    /// It ended by itself with this exit code.
    Exited(i32),
    /// A signal ended it before it was asked to stop.
    Signalled(i32),
    /// It was ended because it used more than it may; the text ends a sentence that begins with its name.
    Exceeded(String),
    /// It was stopped because the server asked.
    Stopped,
}

impl Report {
    /// Whether a program that ended like this may be one that does not know how it was addressed.
    pub(crate) fn may_be_legacy(&self) -> bool {
        match self {
            Self::Exited(_) | Self::Stopped => true,
            Self::NotStarted(_) | Self::Signalled(_) | Self::Exceeded(_) => false,
        }
    }

    /// What a program that ended like this before its handshake was complete failed with.
    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            Self::Exceeded(_) => ErrorCode::LaunchLimit,
            Self::Signalled(signal) if [libc::SIGXCPU, libc::SIGXFSZ].contains(signal) => {
                ErrorCode::LaunchLimit
            }
            Self::NotStarted(_) | Self::Exited(_) | Self::Signalled(_) | Self::Stopped => {
                ErrorCode::LaunchFailed
            }
        }
    }

    /// The end of a sentence that begins with the program's name.
    pub(crate) fn sentence(&self) -> String {
        match self {
            Self::NotStarted(why) => format!("could not be started: {why}"),
            Self::Exited(code) => format!("ended with exit code {code}"),
            Self::Signalled(signal) if *signal == libc::SIGXCPU => {
                "was ended: it used more processor time than is allowed (`cpu_seconds`)".into()
            }
            Self::Signalled(signal) if *signal == libc::SIGXFSZ => {
                "was ended: it wrote a larger file than is allowed (`file_bytes`)".into()
            }
            Self::Signalled(signal) => format!("was ended by signal {signal}"),
            Self::Exceeded(what) => format!("was ended: it {what}"),
            Self::Stopped => "was stopped".into(),
        }
    }
}
