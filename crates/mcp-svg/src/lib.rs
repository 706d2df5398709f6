#![doc = include_str!("../README.md")]

mod allow;
mod clean;
mod cost;
mod css;
mod error;
mod expand;
mod image;
mod limits;
mod preview;
mod process;
mod removed;
mod scan;
mod value;
mod write;

pub use clean::{CleanSvg, clean};
pub use error::{Position, SvgError};
pub use limits::Limits;
pub use preview::{Png, preview};
pub use process::{Processed, process};
pub use removed::Removed;
