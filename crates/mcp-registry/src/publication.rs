//! What may be published: a document that was checked, under the hash of its content.

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::issue::{Issues, Place};
use crate::number;
use crate::schema::ServerSchema;
use crate::server::{self, objects, text};
use crate::tools;

/// Most bytes of a `server.json`, as compact JSON.
pub const SERVER_MAX: usize = 256 * 1024;
/// Most bytes of all tools together, as compact JSON.
pub const TOOLS_BYTES_MAX: usize = 512 * 1024;

/// Checks documents. Made once: it holds the compiled schema.
#[derive(Clone, Debug)]
pub struct Validator {
    schema: ServerSchema,
}

impl Default for Validator {
    fn default() -> Self {
        Self {
            schema: ServerSchema::new(),
        }
    }
}

impl Validator {
    /// Checks a `server.json` and the tools beside it, each an object as `tools/list` gives it.
    ///
    /// # Errors
    /// All that is wrong with them, together.
    pub fn check(
        &self,
        server: Map<String, Value>,
        tools: Vec<Value>,
    ) -> Result<Publication, Issues> {
        let mut issues = Issues::default();
        let server = Value::Object(server);
        let mut tools = Value::Array(tools);
        bound(&server, "server", SERVER_MAX, &mut issues);
        bound(&tools, "tools", TOOLS_BYTES_MAX, &mut issues);
        if !issues.is_empty() {
            // The rest is looked at only if it is of a size that can be.
            return Err(issues);
        }
        self.schema.check(&server, &mut issues);
        if let Some(fields) = server.as_object() {
            server::check(fields, &mut issues);
        }
        if let Some(tools) = tools.as_array() {
            tools::check(tools, &mut issues);
        }
        number::check(&server, &Place::top("server"), &mut issues);
        number::check(&tools, &Place::top("tools"), &mut issues);
        if !issues.is_empty() {
            return Err(issues);
        }
        if let Some(tools) = tools.as_array_mut() {
            // Servers give them in any order.
            tools.sort_by(|left, right| name_of(left).cmp(&name_of(right)));
        }
        Ok(Publication::new(server, tools))
    }
}

fn bound(value: &Value, name: &str, max: usize, issues: &mut Issues) {
    let size = value.to_string().len();
    if size > max {
        let message = format!("has {size} bytes; the most are {max}");
        issues.add(&Place::top(name), "size", message);
    }
}

fn name_of(tool: &Value) -> Option<&str> {
    tool.get("name")?.as_str()
}

/// A version of a server that keeps all rules. Only [`Validator::check`] makes one.
#[derive(Clone, Debug, PartialEq)]
pub struct Publication {
    name: String,
    version: String,
    server: Value,
    tools: Value,
    sha256: String,
}

impl Publication {
    fn new(server: Value, tools: Value) -> Self {
        let field = |name| server.get(name).and_then(Value::as_str).unwrap_or_default();
        Self {
            name: field("name").to_owned(),
            version: field("version").to_owned(),
            sha256: content_hash(&server, &tools),
            server,
            tools,
        }
    }

    /// The server's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The `server.json`, as it came.
    pub fn server(&self) -> &Value {
        &self.server
    }

    /// The tools, an array in the order of their names.
    pub fn tools(&self) -> &Value {
        &self.tools
    }

    /// [`content_hash`] of it.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The URL of each remote, in order.
    pub fn remote_urls(&self) -> impl Iterator<Item = &str> {
        let server = self.server.as_object();
        let remotes = server
            .into_iter()
            .flat_map(|server| objects(server, "remotes"));
        remotes.filter_map(|(_, remote)| text(remote, "url"))
    }
}

/// SHA-256, in hexadecimal, of `{"server": …, "tools": […]}` as compact JSON with the fields of every object in the
/// order of their names (by bytes). Two documents that differ only in space and in the order of fields have the same.
pub fn content_hash(server: &Value, tools: &Value) -> String {
    let mut content = json!({"server": server, "tools": tools});
    content.sort_all_objects();
    let digest = Sha256::digest(content.to_string().as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
