//! Who may do what, at both services: every route with every kind of token, and where a service without
//! keys listens.

#[cfg(test)]
mod chain;
#[cfg(test)]
mod matrix;
#[cfg(test)]
mod names;
#[cfg(test)]
mod owners;
#[cfg(test)]
mod process;
#[cfg(test)]
mod running;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod stores;
