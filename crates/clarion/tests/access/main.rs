//! Who may pass: real identity, real services and gateways, several replicas of them.

mod revocation;
mod world;
