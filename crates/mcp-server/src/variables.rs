//! The server's variables, for `--help` and `docs/configuration.md`. Defaults and bounds stand where they are read.

use mcp_runtime::variables::{Documentation, Variable, document, names};

use crate::config::ServerConfig;

const VARIABLES: &[Variable] = &[
    Variable::new("BIND", "address; beyond loopback only with keys or `MCP_AUTH=none`"),
    Variable::new("PORT", "port; 0 is any free one"),
    Variable::new(
        "MCP_API_KEYS_FILE",
        "API keys, a line each; taken up anew when it changes. `mcp-server keys new` makes a line",
    )
    .allowed("a file"),
    Variable::new(
        "MCP_AUTH",
        "`none` lets every caller in. Beyond loopback the server starts only with keys or with this",
    ),
    Variable::new(
        "MCP_ALLOWED_HOSTS",
        "what the `Host` header may name; a Kubernetes service name must be listed",
    )
    .allowed("host or host:port, comma-separated, or `*`"),
    Variable::new("MCP_ALLOWED_ORIGINS", "what a browser's `Origin` header may name")
        .default("http and https on loopback")
        .allowed("scheme://host:port, comma-separated, or `*`"),
    Variable::new(
        "MCP_LAUNCH_POLICY",
        "what `server_initialize` may start and connect to; without it and `MCP_ALLOWED_COMMANDS` nothing",
    )
    .allowed("a policy file, see crates/mcp-sandbox"),
    Variable::new(
        "MCP_ALLOWED_COMMANDS",
        "shorthand for a policy: command names, found once at start",
    ),
    Variable::new("MCP_ENV_DIR", "with the shorthand: where `envFile` files lie")
        .allowed("a folder")
        .read_elsewhere(),
    Variable::new(
        "MCP_WORK_DIR",
        "with the shorthand: working directory of started servers; by default a private, empty one",
    )
    .allowed("a folder")
    .read_elsewhere(),
    Variable::new(
        "MCP_SANDBOX",
        "what becomes of a launch where the kernel lacks a layer of the box: `best-effort` goes without and says so, `require` refuses",
    ),
    Variable::new(
        "MCP_DRAIN_MS",
        "on SIGTERM, calls and tasks under way may finish for so long; a task that does not has failed",
    ),
    Variable::new(
        "MCP_KEY_RATE",
        "calls a second of one key on one replica, unless its line says another; 429 with `Retry-After` beyond. 0 is no limit",
    ),
    Variable::new(
        "MCP_KEY_BURST",
        "how many of these may come at once after a pause. 0 is the rate",
    ),
    Variable::new(
        "MCP_KEY_CONCURRENCY",
        "requests of one key under way on one replica, unless its line says another; 429 with `Retry-After` beyond. 0 is no limit",
    ),
    Variable::new(
        "MCP_KEY_STREAMS",
        "event streams of one key open at once on one replica, unless its line says another; 429 with `Retry-After` beyond. 0 is no limit",
    )
    .default("half of `MCP_MAX_STREAMS`; without keys 0"),
    Variable::new(
        "MCP_MAX_IN_FLIGHT",
        "requests under way; 503 with `Retry-After` beyond",
    ),
    Variable::new(
        "MCP_MAX_BODY_BYTES",
        "largest body of a request; 413 beyond. Its headers take 32 KiB at most, its `_meta` 64 KiB",
    ),
    Variable::new(
        "MCP_MAX_BODY_BYTES_IN_FLIGHT",
        "what all requests take until they are answered, and then their answers until they are read, not below `MCP_MAX_BODY_BYTES`; 503 with `Retry-After` beyond",
    ),
    Variable::new(
        "MCP_MAX_CONNECTIONS",
        "open connections; those beyond are told 503 and closed, with TLS only closed: a handshake would be work",
    ),
    Variable::new(
        "MCP_CONNECTION_MAX_AGE_MS",
        "an answer on a connection that has been open for so long, or up to a quarter longer, closes it, so that callers of a service without a balancer of requests find new replicas",
    ),
    Variable::new(
        "MCP_MAX_STREAMS",
        "event streams open at once, subscriptions among them; 503 with `Retry-After` beyond. A call that has something to say when none is left is answered without it",
    ),
    Variable::new(
        "MCP_STATE_KEY",
        "signs what clients of 2026-07-28 carry from one request of a call to the next, the same for all replicas. Without it they share one through Redis; a replica without Redis makes its own",
    )
    .secret(),
    Variable::new("MCP_TOOL_TIMEOUT_MS", "longest call").allowed(
        "milliseconds for every tool, and `tool=milliseconds` for single ones, comma-separated, such as `60000,server_initialize=120000`",
    ),
    Variable::new("MCP_AUDIT_LOG", "a JSON line for each call and each refusal")
        .allowed("`stderr`, `stdout`, `none`, or the path of a file, which is appended to"),
    Variable::new(
        "REDIS_URL",
        "through it replicas share idempotency keys and tasks, and bring each other what belongs to an event stream or a question of another; without it each is alone",
    )
    .secret(),
    Variable::new(
        "DATABASE_URL",
        "published servers and pictures; without it a file in the folder for this user's state",
    )
    .allowed("`postgres://user:password@host[:port]/database` or `sqlite:/path/to/file`")
    .secret(),
    Variable::new("STATE_DIRECTORY", "the folder for a service's state, as systemd sets it").allowed("a folder"),
    Variable::new("XDG_STATE_HOME", "the same for a user; without it `.local/state` in `HOME`").allowed("a folder"),
    Variable::new("HOME", "the user's folder").allowed("a folder"),
    Variable::new("MCP_PUBLIC_URL", "what links in results begin with, behind a proxy that ends TLS")
        .default("the `Host` that the caller names")
        .allowed("an http or https URL"),
    Variable::new(
        "GEMINI_API_KEY",
        "key of `generate_svg` and `refine_svg`; without one they answer with an error",
    )
    .secret(),
    Variable::new("GEMINI_MODEL", "who draws"),
    Variable::new("GEMINI_BASE_URL", "where Gemini is").allowed("an https URL, or an http one on loopback"),
    Variable::new("GEMINI_THINKING_LEVEL", "how much the model thinks; `default` sends nothing"),
    Variable::new("GEMINI_MAX_OUTPUT_TOKENS", "longest answer, thoughts included"),
    Variable::new(
        "GEMINI_TIMEOUT_MS",
        "what one call may take at Gemini, a second try included; less than a worker's `WORKER_JOB_TIMEOUT_MS`",
    ),
    Variable::new(
        "GEMINI_CONCURRENCY",
        "calls under way to Gemini; others wait for up to half of their time",
    ),
    Variable::new(
        "MCP_IDEMPOTENCY_TTL_MS",
        "how long a repeated key is answered with the stored result",
    ),
    Variable::new(
        "MCP_IDEMPOTENCY_LEASE_MS",
        "with Redis: a call whose replica has died may run elsewhere after so long",
    ),
    Variable::new(
        "MCP_IDEMPOTENCY_MAX_ENTRIES",
        "results in memory; those that expire first go first",
    ),
    Variable::new("MCP_IDEMPOTENCY_MAX_BYTES", "their size in bytes"),
    Variable::new(
        "MCP_TLS_CERT_FILE",
        "certificate chain: TLS 1.2 and 1.3; taken up anew when it changes",
    )
    .allowed("a file in PEM"),
    Variable::new("MCP_TLS_KEY_FILE", "the private key of its first certificate")
        .allowed("a file in PEM"),
    Variable::new(
        "MCP_TLS_CLIENT_CA_FILE",
        "mutual TLS: every connection needs a certificate of these authorities, probes too",
    )
    .allowed("a file in PEM"),
];

/// The worker's, which may run in the same environment.
const OTHERS: [&str; 4] = [
    "MCP_API_KEY",
    "MCP_API_KEY_FILE",
    "MCP_CONSUMER_GROUP",
    "MCP_SERVER_URL",
];

/// All that is known of them.
pub fn variables() -> Documentation {
    document(VARIABLES, &[], |vars| {
        // What is read counts, not what comes of it.
        let _ = ServerConfig::from_vars(vars);
    })
}

/// The names that a misspelt one may be meant for.
pub(crate) fn known() -> Vec<String> {
    names(VARIABLES).chain(OTHERS.map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_table_names_what_the_configuration_reads() {
        assert_eq!(super::variables().faults, [""; 0]);
    }
}
