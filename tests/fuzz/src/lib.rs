//! What the fuzz targets share. Each target takes bytes from outside and must neither panic nor take memory without
//! bound, whatever they are; what else must hold is said with each.

mod disk;
pub mod log;
pub mod request;

use std::alloc::System;

use cap::Cap;

/// Whatever asks for more than this ends the run.
#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, 256 << 20);
