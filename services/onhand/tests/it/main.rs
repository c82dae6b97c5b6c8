//! Whole processes on a real broker: killed, restarted, cut off, and then held to every promise.

#[cfg(test)]
mod chain;
#[cfg(test)]
mod command_line;
#[cfg(test)]
mod drills;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod floods;
#[cfg(test)]
mod line;
#[cfg(test)]
mod load;
#[cfg(test)]
mod overload;
#[cfg(test)]
mod process;
#[cfg(test)]
mod quick_start;
#[cfg(test)]
mod reservations;
#[cfg(test)]
mod sagas;
#[cfg(test)]
mod several;
#[cfg(test)]
mod storefront;
#[cfg(test)]
mod telemetry;
#[cfg(test)]
mod tls;
