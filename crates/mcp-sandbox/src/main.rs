//! The launcher as a program of its own, for the tests and for programs that can't call
//! [`mcp_sandbox::launcher::run_if_requested`] in their `main`.

use std::process::ExitCode;

fn main() -> ExitCode {
    mcp_sandbox::launcher::run_if_requested();
    // Nobody starts this by hand, so there is nothing to say beyond the usage status of sysexits.h.
    ExitCode::from(64)
}
