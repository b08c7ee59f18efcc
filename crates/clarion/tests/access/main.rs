//! Who may pass: real identity, real services and gateways, several replicas of them.

mod forgery;
mod matrix;
mod provider;
mod revocation;
mod rotation;
mod world;
