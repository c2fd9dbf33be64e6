//! The code that the fuzz targets share. Each target reads arbitrary bytes, and must neither panic nor
//! allocate without bound. Its first lines say what else must hold.

pub mod credentials;
mod disk;
pub mod log;
pub mod request;

use std::alloc::System;

use cap::Cap;

/// Allocator with a limit: more memory than this ends the run.
#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, 256 << 20);
