//! Physical limits: the same work with nothing around it.

pub(super) mod broker;
pub(super) mod disk;
pub(crate) mod http;
