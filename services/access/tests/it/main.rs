//! Who is let in: tokens of every kind of forger, issuers of every kind of trouble, routes of every kind
//! of rule.

#[cfg(test)]
mod audit;
#[cfg(test)]
mod doors;
#[cfg(test)]
mod issuer;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod tokens;
