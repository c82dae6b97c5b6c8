//! What no container engine is needed for: the files in `deploy/` and `docker-compose.yml` against the
//! program, each other, and the code they speak of.

#[cfg(test)]
mod alerts;
#[cfg(test)]
mod brokers;
#[cfg(test)]
mod compose;
#[cfg(test)]
mod compose_files;
#[cfg(test)]
mod files;
#[cfg(test)]
mod image;
#[cfg(test)]
mod kubernetes;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod program;
