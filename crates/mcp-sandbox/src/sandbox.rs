//! The one way to start a program: admit, start, shake hands, end.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use mcp_core::text::bounded;
use mcp_core::tool::InitializeStatus;
use mcp_core::{ErrorCode, Failure, ServerInitializeResult, StdioServer};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::task::TaskTracker;

use crate::handshake::{Handshake, HandshakeError, Introduction, Opening};
use crate::layers::files::Reach;
use crate::layers::{Confinement, Layer, Missing};
use crate::lines::Lines;
use crate::masking::Mask;
use crate::permits::{Permit, Permits};
use crate::policy::{Launch, LaunchPolicy, Limits};
use crate::probe::{Probe, ProbeError};
use crate::process::orphans;
use crate::process::running::{Running, Tail};

/// How long a launch waits for another one to end before its caller is told to come back.
const BUSY: Duration = Duration::from_secs(3);
/// When the caller should come back.
const COME_BACK: Duration = Duration::from_secs(1);
/// How much of the first line that is no JSON-RPC goes into a message.
const STRAY_SHOWN: usize = 120;
/// How much of a program's standard error goes into a message.
const STDERR_SHOWN: usize = 600;

/// What happens where the kernel lacks a layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Programs are started with the layers that there are. What is missing is known: [`Sandbox::missing`].
    #[default]
    BestEffort,
    /// No program is started where a layer is missing that nothing else makes up for.
    Require,
}

/// Starts programs under a policy. Cheap to clone; all clones share the bounds.
#[derive(Clone)]
pub struct Sandbox {
    shared: Arc<Shared>,
    launcher: Arc<PathBuf>,
    permits: Permits,
    tracker: TaskTracker,
    /// W3C trace headers that programs are told.
    trace: Arc<[(String, String)]>,
    mode: Mode,
    layers: BTreeSet<Layer>,
}

struct Shared {
    policy: RwLock<Arc<LaunchPolicy>>,
    probe: Probe,
}

impl Sandbox {
    /// A sandbox whose launcher is this very executable. Its `main` must call
    /// [`launcher::run_if_requested`](crate::launcher::run_if_requested) before anything else.
    pub fn new(policy: LaunchPolicy) -> Self {
        // The kernel's own link stays good when the file is replaced by a newer version meanwhile.
        Self::with_launcher(policy, "/proc/self/exe".into())
    }

    /// A sandbox with the launcher at `launcher`.
    pub fn with_launcher(policy: LaunchPolicy, launcher: PathBuf) -> Self {
        orphans::adopt();
        Self {
            permits: Permits::new(policy.limits().concurrency),
            shared: Arc::new(Shared {
                policy: RwLock::new(Arc::new(policy)),
                probe: Probe::default(),
            }),
            launcher: Arc::new(launcher),
            tracker: TaskTracker::new(),
            trace: Arc::default(),
            mode: Mode::default(),
            layers: Layer::ALL.into(),
        }
    }

    /// The same sandbox for launches within a trace, of which `headers` (`traceparent`, `tracestate`) tell the program:
    /// in the `_meta` of each request (MCP, SEP-414), and as variables in capitals (OpenTelemetry's environment carrier).
    #[must_use]
    pub fn within(&self, headers: Vec<(String, String)>) -> Self {
        Self {
            trace: headers.into(),
            ..self.clone()
        }
    }

    /// What is to happen where the kernel lacks a layer.
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Leaves a layer out, to learn what it is worth: the tests do. No variable of the product comes here.
    #[must_use]
    pub fn without(mut self, layer: Layer) -> Self {
        self.layers.remove(&layer);
        self
    }

    /// The policy of this moment.
    pub fn policy(&self) -> Arc<LaunchPolicy> {
        // A panic elsewhere leaves the pointer whole.
        let policy = self.shared.policy.read();
        Arc::clone(&policy.unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another policy in force, for the launches that come. Those under way end under the one that admitted them.
    pub fn replace_policy(&self, policy: LaunchPolicy) {
        let mut current = self
            .shared
            .policy
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        self.permits.resize(policy.limits().concurrency);
        *current = Arc::new(policy);
    }

    /// Programs that run now or are being ended, and connections that are [counted](Sandbox::counted) with them.
    pub fn in_flight(&self) -> usize {
        self.permits.taken()
    }

    /// The layers that can't be had here under the policy of this moment, found out by trying now, or less than half a minute
    /// ago.
    ///
    /// # Errors
    /// When it can't be found out: then most likely no program can be started either.
    pub async fn missing(&self) -> Result<Vec<Missing>, String> {
        let missing = self.missing_under(&self.policy()).await;
        missing.map_err(|error| error.to_string())
    }

    async fn missing_under(&self, policy: &LaunchPolicy) -> Result<Vec<Missing>, ProbeError> {
        let confinement = Confinement {
            layers: self.layers.clone(),
            require: false,
            run_as: policy.run_as(),
            reach: Reach {
                system: true,
                programs: true,
                ..Reach::default()
            },
            resources: policy.limits().resources(),
        };
        let probe = &self.shared.probe;
        probe
            .missing(&self.launcher, &confinement, policy.cgroup())
            .await
    }

    /// Does `work` as one of the programs that may run at once: it costs the other side as much as a program costs here.
    ///
    /// # Errors
    /// [`ErrorCode::LaunchBusy`], or that of `work`.
    pub async fn counted<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let _permit = self.permit().await?;
        work.await
    }

    /// Waits until nothing of any program is left. Call it when no more launches come.
    pub async fn drained(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }

    /// Starts `server`, shakes hands, lists its tools, ends it, and reports what it said, as `name`. `caller` is who asks
    /// for that, for the log. Nothing of the program is left when this returns; when it is dropped, the clean-up goes on
    /// by itself.
    ///
    /// # Errors
    /// [`ErrorCode::LaunchDenied`], [`ErrorCode::LaunchBusy`], [`ErrorCode::LaunchFailed`], [`ErrorCode::LaunchLimit`],
    /// or one of the handshake's.
    pub async fn initialize(
        &self,
        caller: &str,
        name: &str,
        server: &StdioServer,
    ) -> Result<ServerInitializeResult, Failure> {
        let policy = self.policy();
        let mut launch = admit(Arc::clone(&policy), server).await?;
        launch.tell(&self.trace);
        self.check_layers(&policy, &launch).await?;
        let permit = self.permit().await?;
        // Before anything runs, and without arguments and values: both may hold secrets.
        tracing::info!(
            caller,
            server = bounded(name, 200),
            command = launch.command,
            program = %launch.program.display(),
            arguments = launch.args.len(),
            "starting a program"
        );
        let start = Instant::now();
        let attempt = Attempt {
            sandbox: self,
            name,
            launch: &launch,
            mask: Mask::new(launch.secrets()),
            deadline: start + launch.limits.handshake,
            permit,
        };
        let introduction = attempt.introduction().await?;
        let duration = introduction.1.duration_since(start);
        let introduction = introduction.0;
        Ok(ServerInitializeResult {
            name: name.to_owned(),
            status: InitializeStatus::Initialized,
            protocol_version: introduction.protocol_version,
            server_info: introduction.server_info,
            capabilities: introduction.capabilities,
            tools: introduction.tools,
            duration_ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
        })
    }

    /// Refuses where a layer is missing that must not be, under the policy that admitted `launch`.
    async fn check_layers(&self, policy: &LaunchPolicy, launch: &Launch) -> Result<(), Failure> {
        if self.mode == Mode::BestEffort {
            return Ok(());
        }
        let (code, how, why) = match self.missing_under(policy).await {
            Err(error @ ProbeError::NoAnswer(_)) => {
                (ErrorCode::LaunchFailed, "failed", error.to_string())
            }
            Err(error @ ProbeError::Refused(_)) => {
                (ErrorCode::LaunchDenied, "is denied", error.to_string())
            }
            Ok(missing) => match missing.iter().find(|missing| missing.is_a_loss()) {
                Some(missing) => {
                    let why = format!("{missing} is missing");
                    (ErrorCode::LaunchDenied, "is denied", why)
                }
                None => return Ok(()),
            },
        };
        Err(Failure::new(
            code,
            format!(
                "starting {:?} {how}: programs must be boxed in here (MCP_SANDBOX=require), and {why}",
                launch.command
            ),
        ))
    }

    async fn permit(&self) -> Result<Arc<Permit>, Failure> {
        match timeout(BUSY, self.permits.take()).await {
            Ok(Ok(permit)) => Ok(Arc::new(permit)),
            Ok(Err(_)) | Err(_) => Err(Failure::new(
                ErrorCode::LaunchBusy,
                format!(
                    "{} servers are started or connected to already, which is as many as may be at once",
                    self.permits.most()
                ),
            )
            .with_retry_after(Some(COME_BACK))),
        }
    }

    fn confinement(&self, launch: &Launch) -> Confinement {
        Confinement {
            layers: self.layers.clone(),
            require: self.mode == Mode::Require,
            run_as: launch.run_as,
            reach: launch.reach.clone(),
            resources: launch.limits.resources(),
        }
    }
}

async fn admit(policy: Arc<LaunchPolicy>, server: &StdioServer) -> Result<Launch, Failure> {
    let server = server.clone();
    // It may read a file.
    tokio::task::spawn_blocking(move || policy.admit_stdio(&server))
        .await
        .map_err(|_| Failure::new(ErrorCode::Internal, "the launch policy failed"))?
}

/// One call of [`Sandbox::initialize`] from the first start on.
struct Attempt<'a> {
    sandbox: &'a Sandbox,
    name: &'a str,
    launch: &'a Launch,
    mask: Mask,
    deadline: Instant,
    permit: Arc<Permit>,
}

impl Attempt<'_> {
    /// What the program said, and when it had said all.
    async fn introduction(self) -> Result<(Introduction, Instant), Failure> {
        match self.start(Opening::Discover).await {
            // It ended without a word when it was asked in the language of today: perhaps it knows only the old one.
            Err(Ended::Silently) => match self.start(Opening::Legacy).await {
                Ok(done) => Ok(done),
                Err(Ended::Silently) => {
                    Err(self.failure(ErrorCode::LaunchFailed, "ended before the handshake", None))
                }
                Err(Ended::Failed(failure)) => Err(failure),
            },
            Ok(done) => Ok(done),
            Err(Ended::Failed(failure)) => Err(failure),
        }
    }

    async fn start(&self, opening: Opening) -> Result<(Introduction, Instant), Ended> {
        let limits = self.limits();
        let running = Running::start(
            &self.sandbox.launcher,
            self.name,
            self.launch,
            self.sandbox.confinement(self.launch),
            &self.sandbox.tracker,
            Arc::clone(&self.permit),
        )
        .await;
        let mut running = running.map_err(|error| {
            let what = format!("could not be started: {error}");
            Ended::Failed(self.failure(ErrorCode::LaunchFailed, &what, None))
        })?;
        let mut lines = Lines::new(
            &mut running.stdout,
            limits.message_bytes,
            limits.output_bytes,
        );
        let handshake = Handshake::new(&mut lines, &mut running.stdin, limits, &self.mask)
            .within(&self.sandbox.trace)
            .run(opening);
        let outcome = timeout_at(self.deadline, handshake).await;
        let ended_at = Instant::now();
        let silent = lines.is_silent();
        let only_stray = lines.is_only_stray();
        let stray = lines.first_stray();
        let stray = stray.map(|line| self.mask.shown(line, STRAY_SHOWN));
        let (code, what) = match outcome {
            Ok(Ok(introduction)) => {
                running.close().await;
                return Ok((introduction, ended_at));
            }
            Ok(Err(HandshakeError::Ended)) => {
                let (report, tail) = running.ended().await;
                if silent && opening == Opening::Discover && report.may_be_legacy() {
                    return Err(Ended::Silently);
                }
                let what = format!("{} before the handshake was complete", report.sentence());
                let what = with_stray(what, stray);
                let failure = self.failure(report.code(), &what, Some(&tail));
                return Err(Ended::Failed(failure));
            }
            Ok(Err(HandshakeError::Broken(code, what))) => (code, what),
            Err(_) if only_stray => (
                ErrorCode::HandshakeFailed,
                format!(
                    "wrote no JSON-RPC within {} ms",
                    limits.handshake.as_millis()
                ),
            ),
            Err(_) => (
                ErrorCode::HandshakeTimeout,
                format!(
                    "did not complete the handshake within {} ms",
                    limits.handshake.as_millis()
                ),
            ),
        };
        let (_, tail) = running.stop().await;
        let failure = self.failure(code, &with_stray(what, stray), Some(&tail));
        Err(Ended::Failed(failure))
    }

    fn limits(&self) -> &Limits {
        &self.launch.limits
    }

    /// A failure whose message names the program and says what it did, with the end of its standard error.
    fn failure(&self, code: ErrorCode, what: &str, tail: Option<&Tail>) -> Failure {
        let mut message = format!("{:?} {}", self.launch.command, self.mask.apply(what));
        let stderr = tail.map(|tail| tail.text(&self.mask)).unwrap_or_default();
        if !stderr.is_empty() {
            let from = stderr.ceil_char_boundary(stderr.len().saturating_sub(STDERR_SHOWN));
            message.push_str("; the end of its standard error: ");
            message.push_str(stderr[from..].trim());
        }
        Failure::new(code, message)
    }
}

/// `stray` is masked already: quoted, a value is spelled differently.
fn with_stray(what: String, stray: Option<String>) -> String {
    match stray {
        Some(line) => format!("{what}; it wrote {line:?} where only JSON-RPC belongs"),
        None => what,
    }
}

enum Ended {
    /// The program ended by itself and wrote nothing to its standard output.
    Silently,
    Failed(Failure),
}
