//! What a key may do.

use std::fmt;
use std::str::FromStr;

use mcp_core::tool::{GENERATE_SVG, PUBLISH_SERVER, REFINE_SVG, SERVER_INITIALIZE};

/// One permission. Each tool asks for exactly one; the other methods of MCP ask for none beyond a valid key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Calls of tools that ask for no scope of their own.
    ToolsCall,
    /// `server_initialize`: it starts programs and connects to servers.
    ServersLaunch,
    /// `generate_svg` and `refine_svg`: they cost money at the model's provider.
    SvgGenerate,
    /// `publish_server`: it changes what others see.
    ServersPublish,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 4] = [
        Self::ToolsCall,
        Self::ServersLaunch,
        Self::SvgGenerate,
        Self::ServersPublish,
    ];

    /// Its name in the file of keys and in `WWW-Authenticate`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ToolsCall => "tools:call",
            Self::ServersLaunch => "servers:launch",
            Self::SvgGenerate => "svg:generate",
            Self::ServersPublish => "servers:publish",
        }
    }

    /// What a call of that tool asks for.
    pub(crate) fn of_tool(name: &str) -> Self {
        match name {
            SERVER_INITIALIZE => Self::ServersLaunch,
            GENERATE_SVG | REFINE_SVG => Self::SvgGenerate,
            PUBLISH_SERVER => Self::ServersPublish,
            _ => Self::ToolsCall,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|scope| scope.as_str() == name);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::as_str).join(", ");
            format!("no such scope; there are {names}")
        })
    }
}

/// A set of scopes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scopes(u8);

impl Scopes {
    pub(crate) const ALL: Self = Self(u8::MAX);

    pub(crate) fn with(self, scope: Scope) -> Self {
        Self(self.0 | Self::bit(scope))
    }

    pub(crate) fn contain(self, scope: Scope) -> bool {
        self.0 & Self::bit(scope) != 0
    }

    fn bit(scope: Scope) -> u8 {
        1 << scope as u8
    }
}
